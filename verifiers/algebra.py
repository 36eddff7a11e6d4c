"""Whether two expressions are equal, exactly. The only place that imports sympy, and only when
arithmetic with fractions cannot tell.

Nothing is computed before its size is bounded: `9^{9^9}` and `(10^9)!` are refused, not evaluated.
"""

import math
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, Any

from verifiers.latex import Node

if TYPE_CHECKING:
    import sympy

MAX_BITS = 20_000  # of a numerator or denominator
MAX_NODES = 300
MAX_SYMBOLIC_EXPONENT = 60
DIGITS = 60  # of the numerical comparison that comes before the proof


class TooLarge(ValueError):
    """Deciding this would take more than an honest answer needs."""


def equal(a: Node, b: Node) -> bool:
    """Whether two expressions (no lists, relations, texts) have the same value everywhere.

    Numbers are compared exactly. With symbols the difference is evaluated at several points, and
    what agrees there must be proved by sympy.

    Raises:
        TooLarge: a size bound is exceeded.
    """
    if a == b:
        return True
    x, y = rational(a), rational(b)
    if x is not None and y is not None:
        return x == y
    if size(a) + size(b) > MAX_NODES:
        raise TooLarge(f"more than {MAX_NODES} terms")
    if "infty" in symbols(a) | symbols(b):  # no number: it follows no rule of algebra
        return False
    return _agree_numerically(a, b) and _proved(a, b)


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


def proportional(a: Node, b: Node, positive: bool) -> bool:
    """Whether b is a times a rational number that is not 0 (`positive`: above 0) everywhere: then
    a = 0 and b = 0 are the same equation (a < 0 and b < 0 the same inequality)."""
    factor = _ratio(a, b)
    if factor is None or factor == 0 or (positive and factor < 0):
        return False
    return equal(("mul", ("num", factor), a), b)


def _ratio(a: Node, b: Node) -> Fraction | None:
    """The simple fraction that b / a seems to be, judged at one point."""
    import mpmath

    with mpmath.workdps(DIGITS):
        point = _points(sorted(symbols(a) | symbols(b)))[0]
        try:
            ratio = _value(b, point) / _value(a, point)
        except (ZeroDivisionError, ValueError, OverflowError):
            return None
        if abs(ratio) > 10**6 or abs(mpmath.im(ratio)) > mpmath.mpf(10) ** -30:
            return None
        return Fraction(str(mpmath.re(ratio))).limit_denominator(10**6)


def rational(node: Node) -> Fraction | None:
    """The exact value of arithmetic with whole powers; None when it is anything else.

    Raises:
        TooLarge: the value has more than MAX_BITS bits.
    """
    match node:
        case ("num", value):
            return value
        case ("neg", inside):
            return None if (x := rational(inside)) is None else -x
        case ("percent", inside):
            return None if (x := rational(inside)) is None else x / 100
        case ("abs", inside):
            return None if (x := rational(inside)) is None else abs(x)
        case ("fact", inside):
            return _factorial(rational(inside))
        case ("binom", top, bottom):
            return _binomial(rational(top), rational(bottom))
        case ("pow", base, exponent):
            return _power(rational(base), rational(exponent))
        case ("add" | "mul" | "div" | "mixed" as kind, left, right):
            x, y = rational(left), rational(right)
            if x is None or y is None:
                return None
            if kind == "div":
                return _bounded(x / y) if y else None
            return _bounded(x * y if kind == "mul" else x + y)
    return None


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise TooLarge(f"a number of more than {MAX_BITS:,} bits")
    return value


def _power(base: Fraction | None, exponent: Fraction | None) -> Fraction | None:
    if base is None or exponent is None or exponent.denominator != 1:
        return None
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if abs(base) not in (0, 1) and (bits - 1 or 1) * abs(exponent.numerator) > MAX_BITS:
        raise TooLarge(f"a power of more than {MAX_BITS:,} bits")
    if base == 0 and exponent <= 0:
        return None
    if abs(base) == 1:
        return base if exponent.numerator % 2 else Fraction(1)
    return base if base == 0 else base**exponent.numerator


def _factorial(n: Fraction | None) -> Fraction | None:
    if n is None or n.denominator != 1 or n < 0:
        return None
    if n > 2000:
        raise TooLarge("a factorial of more than 2000")
    return Fraction(math.factorial(n.numerator))


def _binomial(n: Fraction | None, k: Fraction | None) -> Fraction | None:
    if n is None or k is None or n.denominator != 1 or k.denominator != 1 or n < 0:
        return None
    if n > 2000:
        raise TooLarge("a binomial coefficient of more than 2000")
    return Fraction(math.comb(n.numerator, k.numerator)) if k >= 0 else Fraction(0)


def _agree_numerically(a: Node, b: Node) -> bool:
    """False proves that they differ; points where either has no value are left out."""
    import mpmath

    tested = 0
    with mpmath.workdps(DIGITS):
        for point in _points(sorted(symbols(a) | symbols(b))):
            try:
                x, y = _value(a, point), _value(b, point)
            except (ZeroDivisionError, ValueError, OverflowError):
                continue
            tested += 1
            if abs(x - y) > mpmath.mpf(10) ** (10 - DIGITS) * (1 + abs(x) + abs(y)):
                return False
    return tested > 0


def _points(names: list[str]) -> list[dict[str, Any]]:
    """Positive, negative and imaginary values of no special relation: square roots of primes."""
    import mpmath

    primes = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37)
    values = [mpmath.sqrt(primes[i % 12] + i // 12) / 3 for i in range(len(names))]
    signs = (1, -1, 1j) if names else (1,)
    return [dict(zip(names, [sign * value for value in values], strict=True)) for sign in signs]


def _value(node: Node, point: dict[str, Any]) -> Any:
    """An mpmath number. Exponents of numbers are bounded, so that no intermediate one explodes."""
    import mpmath

    match node:
        case ("num", value):
            return mpmath.mpf(value.numerator) / value.denominator
        case ("sym", name):
            return point[name]
        case ("const", name):
            return {"pi": mpmath.pi, "e": mpmath.e, "i": mpmath.mpc(0, 1)}[name] + 0
    parts = [_value(part, point) for part in node[1:] if isinstance(part, tuple)]
    if any(abs(part) > mpmath.mpf(10) ** 6000 for part in parts):
        raise TooLarge("an intermediate value above 10^6000")
    match node[0]:
        case "add" | "mixed":
            return parts[0] + parts[1]
        case "mul":
            return parts[0] * parts[1]
        case "div":
            return parts[0] / parts[1]
        case "neg":
            return -parts[0]
        case "percent":
            return parts[0] / 100
        case "abs":
            return abs(parts[0])
        case "pow":
            return _bounded_power(*parts)
        case "root":
            return parts[0] ** (1 / parts[1])
        case "fact":
            if abs(parts[0]) > 2000:
                raise TooLarge("a factorial of more than 2000")
            return mpmath.factorial(parts[0])
        case "binom":
            if max(map(abs, parts)) > 2000:
                raise TooLarge("a binomial coefficient of more than 2000")
            return mpmath.binomial(*parts)
        case "log":
            return mpmath.log(parts[1]) / mpmath.log(parts[0])
        case "fn":
            return _function_value(node[1], parts[0])
    raise ValueError(f"'{node[0]}' has no value")


def _bounded_power(base: Any, exponent: Any) -> Any:
    import mpmath

    if abs(exponent) > 100_000 or (base and abs(exponent * mpmath.log(base)) > 14_000):
        raise TooLarge("a power above 10^6000")
    return base**exponent


_OTHER_NAMES = {"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}


def _function_value(name: str, x: Any) -> Any:
    import mpmath

    if name == "exp":
        return _bounded_power(mpmath.e + 0, x)
    if name in ("sinh", "cosh") and abs(x) > 14_000:
        raise TooLarge("a power above 10^6000")
    names = {"ln": "log", "log": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}
    return getattr(mpmath, names.get(name, name))(x)  # `name` is one of latex.FUNCTIONS


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
            return getattr(sympy, _OTHER_NAMES.get(name) or name)(_sympy(inside))
    parts = [_sympy(part) for part in node[1:] if isinstance(part, tuple)]
    symbolic = node[0] == "pow" and parts[0].free_symbols and parts[1].is_number
    if symbolic and abs(parts[1]) > MAX_SYMBOLIC_EXPONENT:
        raise TooLarge(f"an exponent above {MAX_SYMBOLIC_EXPONENT}")
    return _COMBINE[node[0]](sympy, *parts)


@cache
def _symbol(name: str) -> "sympy.Symbol":
    import sympy

    return sympy.Symbol(name, real=True)


_COMBINE: dict[str, Any] = {
    "add": lambda sympy, a, b: a + b,
    "mixed": lambda sympy, a, b: a + b,
    "mul": lambda sympy, a, b: a * b,
    "div": lambda sympy, a, b: a / b,
    "neg": lambda sympy, a: -a,
    "percent": lambda sympy, a: a / 100,
    "abs": lambda sympy, a: sympy.Abs(a),
    "pow": lambda sympy, a, b: a**b,
    "root": lambda sympy, a, n: a ** (1 / n),
    "fact": lambda sympy, a: sympy.factorial(a),
    "binom": lambda sympy, n, k: sympy.expand_func(sympy.binomial(n, k)),
    "log": lambda sympy, base, a: sympy.log(a) / sympy.log(base),
}
