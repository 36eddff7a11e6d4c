"""How an answer is written, as against what it is worth: plain, in lowest terms, factored, ..."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from math import gcd, isqrt

from verifiers.latex import Node
from verifiers.like_terms import has_like_terms

EXPRESSIONS = frozenset(
    {"num", "sym", "const", "add", "mixed", "mul", "div", "pow", "neg", "fact", "abs", "percent"}
    | {"fn", "root", "log", "binom"}
)
# Of these, an answer may contain what the reference answer contains.
_FAMILIES = (
    {"sin", "cos", "tan", "cot", "sec", "csc"},
    {"arcsin", "arccos", "arctan"},
    {"sinh", "cosh", "tanh"},
    {"ln", "log", "logarithm"},
    {"fact", "binom"},
    {"abs"},
    {"floor", "ceiling"},
)


def is_expression(node: Node, more: frozenset[str] | set[str] = frozenset()) -> bool:
    if node[0] not in EXPRESSIONS and node[0] not in more:
        return False
    return all(is_expression(part, more) for part in node[1:] if isinstance(part, tuple))


def is_plain(node: Node) -> bool:
    """A number that is written out, and not a computation that is left to whoever reads it."""
    match node:
        case ("num", _):
            return True
        case ("neg", inside):
            return inside[0] != "neg" and is_plain(inside)
        case ("percent", inside):
            return inside[0] != "percent" and is_plain(inside)
        case ("mixed", ("num", _), ("div", ("num", _), ("num", _))):
            return True
        case ("div", top, bottom):
            return all(_unsigned(part)[0] == "num" for part in (top, bottom))
        case ("mul", ("num", _), power):
            return _is_power_of_ten(power)
    return _is_power_of_ten(node)


def in_lowest_terms(node: Node) -> bool:
    """Whether a plain number is: no common factor, no denominator 1, no decimals in a fraction."""
    match node:
        case ("neg" | "percent", inside):
            return in_lowest_terms(inside)
        case ("mixed", _, fraction):
            return in_lowest_terms(fraction)
        case ("div", top, bottom):
            above, below = _unsigned(top)[1], _unsigned(bottom)[1]
            if above.denominator != 1 or below.denominator != 1:
                return False
            return below != 1 and gcd(above.numerator, below.numerator) == 1
    return True


def leaves_work(gold: Node, answer: Node) -> bool:
    """Whether an answer that is no plain number leaves a computation to the reader: functions of
    numbers of a kind that the reference answer does without; or arithmetic (`3^2+4^2`,
    `\\sqrt{4}`) or like terms (`2x+3x`, `\\pi+0`) where it has none."""
    present = {kind for kind in map(_kind_of, _parts(gold)) if kind}
    allowed = set[str]().union(*(family for family in _FAMILIES if family & present))
    for part in _parts(answer):
        kind = _kind_of(part)
        if kind and kind not in allowed and not _has_symbol(part):
            return True
    if has_arithmetic(answer) and not has_arithmetic(gold):
        return True
    return has_like_terms(answer) and not has_like_terms(gold)


def fits(form: str, gold: Node, answer: Node) -> bool:
    """Whether an answer has a form (of those in verifiers/problem.py) that the gold answer has."""
    has = _FORMS.get(form)
    return has is None or not has(gold) or has(answer)


def has_arithmetic(node: Node) -> bool:
    """Whether a part is a computation with rational numbers only, or the root of a square."""
    return any(_is_arithmetic(part) for part in _parts(node))


def _is_arithmetic(node: Node) -> bool:
    return node[0] not in ("num", "relation") and not is_plain(node) and _is_rational(node)


def _is_rational(node: Node) -> bool:
    """Whether it is written with rational numbers and what makes such out of such."""
    match node:
        case ("num", _):
            return True
        case ("root", ("num", inside), ("num", degree)) if degree == 2:
            return _is_square(inside.numerator) and _is_square(inside.denominator)
        case ("pow", base, exponent):
            whole = _unsigned(exponent)
            return whole[0] == "num" and whole[1].denominator == 1 and _is_rational(base)
        case ("neg" | "percent" | "fact" | "abs" | "add" | "mul" | "div" | "mixed" | "binom", *_):
            return all(map(_is_rational, node[1:]))
    return False


def _is_square(n: int) -> bool:
    return n >= 0 and isqrt(n) ** 2 == n


def _kind_of(node: Node) -> str | None:
    match node:
        case ("fn", "exp", _):
            return None
        case ("fn", name, _):
            return name
        case ("log", _, _):
            return "logarithm"
        case ("fact" | "binom" | "abs" as kind, *_):
            return kind
    return None


def _parts(node: Node) -> Iterator[Node]:
    stack = [node]
    while stack:
        top = stack.pop()
        if top and isinstance(top[0], str):
            yield top
        stack += [part for part in top if isinstance(part, tuple)]


def _has_symbol(node: Node) -> bool:
    return any(part[:1] == ("sym",) for part in _parts(node))


def _unsigned(node: Node) -> Node:
    return node[1] if node[0] == "neg" else node


def _is_power_of_ten(node: Node) -> bool:
    match node:
        case ("pow", ("num", base), ("num", _) | ("neg", ("num", _))):
            return base == 10
    return False


def _is_fraction(node: Node) -> bool:
    node = _unsigned(node)
    return node[0] == "div" or (node[0] == "num" and node[1].denominator == 1)


def _is_decimal(node: Node) -> bool:
    return _unsigned(node)[0] == "num"


def _is_scientific(node: Node) -> bool:
    match _unsigned(node):
        case ("mul", left, power) if _is_power_of_ten(power):
            return left[0] == "num" and Fraction(1) <= left[1] < 10
    return False


def _is_product(node: Node) -> bool:
    """A product or power, and no sum; what it says about numbers is nothing."""
    node = _unsigned(node)
    return node[0] in ("mul", "pow") and any(p[0] == "add" for p in _parts(node))


def _is_expanded(node: Node) -> bool:
    """A sum in which no sum is multiplied."""
    if node[0] != "add":
        return False
    factors = (f for p in _parts(node) if p[0] in ("mul", "pow") for f in p[1:])
    return not any(isinstance(f, tuple) and _unsigned(f)[0] == "add" for f in factors)


def _has_rational_denominators(node: Node) -> bool:
    below = (part[2] for part in _parts(node) if part[0] == "div")
    return not any(part[0] == "root" for bottom in below for part in _parts(bottom))


def _has_simple_roots(node: Node) -> bool:
    """No square under a square root: 50 is 2 times 5 squared."""
    for part in _parts(node):
        match part:
            case ("root", ("num", inside), ("num", degree)) if degree == 2:
                if inside.denominator == 1 and any(
                    inside % (k * k) == 0 for k in range(2, min(1000, int(inside) + 1))
                ):
                    return False
    return True


def _is_simple(node: Node) -> bool:
    return _has_simple_roots(node) and (not is_plain(node) or in_lowest_terms(node))


_FORMS: dict[str, Callable[[Node], bool]] = {
    "lowest": _is_simple,
    "fraction": _is_fraction,
    "decimal": _is_decimal,
    "mixed": lambda node: _unsigned(node)[0] == "mixed",
    "scientific": _is_scientific,
    "factored": _is_product,
    "expanded": _is_expanded,
    "rational denominator": _has_rational_denominators,
}
