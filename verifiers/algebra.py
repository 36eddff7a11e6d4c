"""Whether two expressions are equal, exactly. The only place that imports sympy, and only for what
exact normal forms cannot tell.

Every yes has two witnesses: normal forms, a separation bound or sympy say that the expressions are
equal, and their values agree (verifiers/numeric.py). Nothing is computed before its size is
bounded: `9^{9^9}` and `(10^9)!` are refused, not evaluated.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from verifiers import algebraic, exact, numeric
from verifiers.latex import Node
from verifiers.numeric import FUNCTIONS
from verifiers.rational import TooLarge, rational

if TYPE_CHECKING:
    import sympy

MAX_NODES = 300
MAX_SYMBOLIC_EXPONENT = 60


class Disagreement(ValueError):
    """Algebra and numbers say different things, so that there is no telling who is right."""


class Witnesses(NamedTuple):
    """What each of the two ways says about two expressions; None: it cannot tell."""

    symbolic: bool | None
    numeric: bool
    by: str  # what the symbolic one is: "normal form", "separation bound", "sympy" or ""


def equal(a: Node, b: Node, short_cuts: bool = True) -> bool:
    """Whether two expressions (no lists, relations, texts) have the same value everywhere.

    short_cuts: settle what exact fractions, normal forms and bounds can settle without sympy.

    Raises:
        TooLarge: a size bound is exceeded.
        Disagreement: the values agree and nothing proves why, or the other way round.
    """
    if a == b:
        return True
    if short_cuts:
        x, y = rational(a), rational(b)
        if x is not None and y is not None:
            return x == y
    found = witnesses(a, b, short_cuts)
    if found.symbolic is False or (found.symbolic is None and not found.numeric):
        return False
    if found.symbolic is None:
        raise Disagreement("its values agree at every point tried, but it is not proved to be so")
    if not found.numeric:
        raise Disagreement("algebra says that it is equal, its values differ")
    return True


def witnesses(a: Node, b: Node, short_cuts: bool = True) -> Witnesses:
    """What algebra and what numbers say. sympy is asked only where the values agree.

    Raises:
        TooLarge: a size bound is exceeded.
    """
    names = _check_size(a, b)
    if names is None:
        return Witnesses(False, False, "infinity")
    settled, by = _settle(a, b, names) if short_cuts else (None, "")
    if settled is False:
        return Witnesses(False, False, by)
    same = numeric.agree(a, b, names)
    if settled is None and same:
        return Witnesses(True if _proved(a, b) else None, same, "sympy")
    return Witnesses(settled, same, by)


def _settle(a: Node, b: Node, names: set[str]) -> tuple[bool | None, str]:
    """Whether they are equal, without sympy, and by what; None when only sympy can tell."""
    settled = exact.settle(a, b)
    if settled is None and not names:
        return algebraic.is_zero(("add", a, ("neg", b))), "separation bound"
    return settled, "normal form"


def preload() -> None:
    """Import sympy now, so that no answer pays for it."""
    import sympy  # noqa: F401


def size(node: Node) -> int:
    count, stack = 0, [node]
    while stack:
        count += 1
        stack += [part for part in stack.pop() if isinstance(part, tuple)]
    return count


def symbols(node: Node) -> set[str]:
    found, stack = set[str](), [node]
    while stack:
        top = stack.pop()
        if top and top[0] == "sym":
            found.add(top[1])
        stack += [part for part in top if isinstance(part, tuple)]
    return found


def proportional(a: Node, b: Node, positive: bool, short_cuts: bool = True) -> bool:
    """Whether b is a times a rational number that is not 0 (`positive`: above 0) everywhere: then
    a = 0 and b = 0 are the same equation (a < 0 and b < 0 the same inequality)."""
    names = _check_size(a, b)
    factor = numeric.simple_ratio(a, b, names) if names else None
    if factor is None or factor == 0 or (positive and factor < 0):
        return False
    return equal(("mul", ("num", factor), a), b, short_cuts)


def _check_size(a: Node, b: Node) -> set[str] | None:
    """The symbols of both; None when there is infinity, which follows no rule of algebra."""
    if size(a) + size(b) > MAX_NODES:
        raise TooLarge(f"more than {MAX_NODES} terms")
    names = symbols(a) | symbols(b)
    return None if "infty" in names else names


def _proved(a: Node, b: Node) -> bool:
    import sympy

    difference = _sympy(a) - _sympy(b)
    if difference == 0 or sympy.expand(difference) == 0:
        return True
    if sympy.simplify(difference) == 0:
        return True
    return not difference.free_symbols and difference.equals(0) is True


def _sympy(node: Node) -> "sympy.Expr":
    """Built node by node from constructors; no text reaches sympy."""
    import sympy

    match node:
        case ("num", value):
            return sympy.Rational(value.numerator, value.denominator)
        case ("sym", name):
            return _symbol(name)
        case ("const", name):
            return {"pi": sympy.pi, "e": sympy.E, "i": sympy.I}[name]
        case ("fn", name, inside):
            return getattr(sympy, FUNCTIONS.get(name) or name)(_sympy(inside))
    parts = [_sympy(part) for part in node[1:] if isinstance(part, tuple)]
    symbolic = node[0] == "pow" and parts[0].free_symbols and parts[1].is_number
    if symbolic and abs(parts[1]) > MAX_SYMBOLIC_EXPONENT:
        raise TooLarge(f"an exponent above {MAX_SYMBOLIC_EXPONENT}")
    return _COMBINE[node[0]](sympy, *parts)


def _root(sympy: Any, base: Any, degree: Any) -> Any:
    """The real root where there is one."""
    if base.is_negative and degree.is_odd:
        return -((-base) ** (1 / degree))
    return base ** (1 / degree)


@lru_cache(maxsize=256)
def _symbol(name: str) -> "sympy.Symbol":
    import sympy

    # Positive: what differs only where a symbol is negative, the other witness sees.
    return sympy.Symbol(name, positive=True)


_COMBINE: dict[str, Any] = {
    "add": lambda sympy, a, b: a + b,
    "mixed": lambda sympy, a, b: a + b,
    "mul": lambda sympy, a, b: a * b,
    "div": lambda sympy, a, b: a / b,
    "neg": lambda sympy, a: -a,
    "percent": lambda sympy, a: a / 100,
    "abs": lambda sympy, a: sympy.Abs(a),
    "pow": lambda sympy, a, b: a**b,
    "root": _root,
    "fact": lambda sympy, a: sympy.factorial(a),
    "binom": lambda sympy, n, k: sympy.expand_func(sympy.binomial(n, k)),
    "log": lambda sympy, base, a: sympy.log(a) / sympy.log(base),
}
