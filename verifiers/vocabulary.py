"""The words of LaTeX that the reader knows."""

FUNCTIONS = frozenset(
    {"sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan"}
    | {"sinh", "cosh", "tanh", "ln", "exp", "log"}
)
INVERSE = {"sin": "arcsin", "cos": "arccos", "tan": "arctan"}
GREEK = frozenset(
    {"alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "iota"}
    | {"kappa", "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "upsilon", "phi", "varphi"}
    | {"chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Phi"}
    | {"Psi", "Omega", "infty", "ell"}
)
PRODUCT_STARTS = (
    FUNCTIONS
    | GREEK
    | {"pi", "frac", "dfrac", "tfrac", "cfrac", "sqrt", "binom", "dbinom", "tbinom", "lvert"}
    | {"lfloor", "lceil", "vec", "overline", "overrightarrow", "hat", "bar", "mathbb"}
)
RELATIONS = {
    "=": "=", "<": "<", ">": ">", "lt": "<", "gt": ">", "le": "<=", "leq": "<=", "leqslant": "<=",
    "ge": ">=", "geq": ">=", "geqslant": ">=", "ne": "!=", "neq": "!=", "approx": "~", "in": "in",
    "to": "->", "rightarrow": "->", "equiv": "==", "cong": "cong", "subset": "subset",
}  # fmt: skip
ORDERS = frozenset({"<", ">", "<=", ">=", "!="})
ALTERNATIVES = frozenset({"or", "vee", "lor"})
BOTH = frozenset({"and", "wedge", "land"})
ACCENTS = frozenset({"vec", "overline", "overrightarrow", "hat", "widehat", "bar", "mathbb"})
SET_SIGNS = {"cup": "union", "cap": "intersection", "setminus": "difference"}
BIG = frozenset({"sum", "prod", "int", "lim", "gcd", "lcm", "max", "min"})
DOTS = frozenset({"ldots", "dots", "cdots", "dotsc", "dotsb"})
BASES = {
    "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9,
    "ten": 10, "eleven": 11, "twelve": 12, "sixteen": 16,
}  # fmt: skip
