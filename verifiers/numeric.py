"""Values of expressions at points, with mpmath: the check that owes nothing to algebra.

Where both sides are real constants, interval arithmetic decides: bounds that are certain. Else both
sides are evaluated to DIGITS digits at points drawn at random, seeded by the expressions.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction
from random import Random
from typing import Any

from verifiers.latex import Node
from verifiers.rational import MAX_FACTORIAL, TooLarge, rational

DIGITS = 60
POINTS = 3
TRIES = 12  # to find so many points where both sides have a value
MAX_EXPONENT = 100_000
MAX_LOG = 14_000  # natural logarithm of the largest value: about 10^6000

FUNCTIONS = {"ln": "log", "arcsin": "asin", "arccos": "acos", "arctan": "atan"}  # as libraries say
NO_VALUE = (ZeroDivisionError, ValueError, OverflowError)


def agree(a: Node, b: Node, names: set[str]) -> bool:
    """Whether two expressions in the symbols `names` have the same values, as far as can be seen.

    Symbols are real. Where one side is real and the other is not they differ (`ln x` and
    `ln |x|`); where neither is, nothing is learned, unless i is written in one of them. False
    proves that they differ, up to the precision; so does having no value anywhere.

    Raises:
        TooLarge: an intermediate value is above 10^6000.
    """
    if not names and is_apart(("add", a, ("neg", b)), int(DIGITS * 3.33)):
        return False
    import mpmath

    is_complex = not names or _mentions(a, "i") or _mentions(b, "i")
    tested = 0
    with mpmath.workdps(DIGITS):
        near = mpmath.mpf(10) ** (10 - DIGITS)
        for point in _points(sorted(names), Random(repr((a, b)))):
            try:
                x, y = value(a, point), value(b, point)
                difference, scale = abs(x - y), 1 + abs(x) + abs(y)
                unreal = [abs(mpmath.im(z)) > near * (1 + abs(z)) for z in (x, y)]
            except NO_VALUE:
                continue
            if all(unreal) and not is_complex:
                continue
            if not difference <= near * scale:  # also when it is nan
                return False
            tested += 1
            if tested == (POINTS if names else 1):
                break
    return tested > 0


def _mentions(node: Node, constant: str) -> bool:
    return node == ("const", constant) or any(
        _mentions(part, constant) for part in node if isinstance(part, tuple)
    )


def simple_ratio(a: Node, b: Node, names: set[str]) -> Fraction | None:
    """The fraction with a small denominator that b / a seems to be at one point.

    Raises:
        TooLarge: see `agree`.
    """
    import mpmath

    with mpmath.workdps(DIGITS):
        for point in _points(sorted(names), Random(repr((a, b)))):
            try:
                ratio = value(b, point) / value(a, point)
            except NO_VALUE:
                continue
            if abs(mpmath.im(ratio)) > mpmath.mpf(10) ** -30 or not abs(ratio) <= 10**6:
                return None
            return Fraction(str(mpmath.nstr(mpmath.re(ratio), 40))).limit_denominator(10**6)
    return None


def is_within(node: Node, of: Fraction, distance: Fraction) -> bool:
    """Whether a real constant is as near to a number as that.

    Raises:
        TooLarge: see `agree`.
    """
    import mpmath

    with mpmath.workdps(2 * DIGITS):
        try:
            here = value(node, {})
        except NO_VALUE:
            return False
        if mpmath.im(here):
            return False
        error = abs(here - mpmath.mpf(of.numerator) / of.denominator)
        return bool(error <= mpmath.mpf(distance.numerator) / distance.denominator)


def _points(names: list[str], rng: Random) -> Iterator[dict[str, Any]]:
    """First with positive values only, then with negative ones only, then with both."""
    import mpmath

    for turn in range(TRIES if names else 1):
        point = {}
        for name in names:
            size = mpmath.mpf(rng.randrange(10**6, 2 * 10**7)) / 9_999_991
            sign = (1, -1)[turn] if turn < 2 else rng.choice((-1, 1))
            point[name] = size * sign
        yield point


def value(node: Node, point: dict[str, Any]) -> Any:
    """An mpmath number. Exponents of numbers are bounded, so that no intermediate one explodes.

    Raises:
        TooLarge: an intermediate value is above 10^6000.
        ZeroDivisionError, ValueError, OverflowError: it has no value at this point.
    """
    import mpmath

    match node:
        case ("num", number):
            return mpmath.mpf(number.numerator) / number.denominator
        case ("sym", name):
            if name not in point:
                raise ValueError(f"no value for '{name}'")
            return point[name]
        case ("const", name):
            return {"pi": mpmath.pi, "e": mpmath.e, "i": mpmath.mpc(0, 1)}[name] + 0
    parts = [value(part, point) for part in node[1:] if isinstance(part, tuple)]
    if any(abs(part) > mpmath.mpf(10) ** 6000 for part in parts):
        raise TooLarge("an intermediate value above 10^6000")
    match node[0]:
        case "fn":
            return _function(node[1], parts[0])
        case "pow" if (power := _odd_root(node[2])) is not None:
            return _real_power(parts[0], power, parts[1])
        case "root":
            return _root(*parts)
        case "fact" | "binom":
            if max(map(abs, parts)) > MAX_FACTORIAL:
                raise TooLarge(f"a factorial of more than {MAX_FACTORIAL}")
    if node[0] not in _OPERATIONS:
        raise ValueError(f"'{node[0]}' has no value")
    return _OPERATIONS[node[0]](mpmath, *parts)


def _power(mpmath: Any, base: Any, exponent: Any) -> Any:
    large = base and abs(exponent * mpmath.log(base)) > MAX_LOG
    if abs(exponent) > MAX_EXPONENT or large:
        raise TooLarge("a power above 10^6000")
    return base**exponent


def _odd_root(exponent: Node) -> Fraction | None:
    """The exponent if it is a fraction with an odd denominator: such a power of a negative number
    is real."""
    power = rational(exponent)
    return power if power is not None and power.denominator % 2 and power.denominator > 1 else None


def _real_power(base: Any, power: Fraction, exponent: Any) -> Any:
    import mpmath

    if mpmath.im(base) or mpmath.re(base) >= 0:
        return _power(mpmath, base, exponent)
    size = _power(mpmath, -base, exponent)
    return -size if power.numerator % 2 else size


def _root(base: Any, degree: Any) -> Any:
    """The real root where there is one."""
    import mpmath

    if not mpmath.im(base) and mpmath.re(base) < 0 and degree in (3, 5, 7, 9, 11):
        return -((-base) ** (1 / degree))
    return base ** (1 / degree)


_OPERATIONS: dict[str, Callable[..., Any]] = {
    "add": lambda _, a, b: a + b,
    "mixed": lambda _, a, b: a + b,
    "mul": lambda _, a, b: a * b,
    "div": lambda _, a, b: a / b,
    "neg": lambda _, a: -a,
    "percent": lambda _, a: a / 100,
    "abs": lambda _, a: abs(a),
    "pow": _power,
    "fact": lambda mpmath, a: mpmath.factorial(a),
    "binom": lambda mpmath, n, k: mpmath.binomial(n, k),
    "log": lambda mpmath, base, a: mpmath.log(a) / mpmath.log(base),
}


def _function(name: str, x: Any) -> Any:
    import mpmath

    if name == "exp":
        return _power(mpmath, mpmath.e + 0, x)
    if name in ("sinh", "cosh") and abs(x) > MAX_LOG:
        raise TooLarge("a power above 10^6000")
    if name == "ceiling":
        return mpmath.ceil(x)
    return getattr(mpmath, FUNCTIONS.get(name, name))(x)  # `name` is one of the reader's


def is_below(node: Node, bits: int) -> bool | None:
    """Whether a real constant is certainly below 2^-bits in size, or certainly not 0; None when
    interval arithmetic cannot tell."""
    found = _enclosed(node, 2 * bits + 64)
    if found is None:
        return None
    if 0 not in found:
        return False
    return True if max(abs(found.a), abs(found.b)) < found.ctx.mpf(2) ** -bits else None


def is_apart(node: Node, bits: int) -> bool:
    """Whether interval arithmetic of so many bits is certain that a constant is not 0."""
    found = _enclosed(node, bits)
    return found is not None and 0 not in found


def _enclosed(node: Node, bits: int) -> Any:
    """An interval around a real constant, computed with so many bits; None if that fails."""
    import mpmath

    iv = mpmath.iv
    before = iv.prec
    iv.prec = bits
    try:
        return _interval(node, iv)
    except (*NO_VALUE, NotImplementedError):
        return None
    finally:
        iv.prec = before


def _interval(node: Node, iv: Any) -> Any:
    """An interval that contains the value. NotImplementedError for what it knows nothing about."""
    match node:
        case ("num", number):
            return iv.mpf(number.numerator) / number.denominator
        case ("const", "pi"):
            return +iv.pi
        case ("const", "e"):
            return +iv.e
        case ("add" | "mul" | "div" | "mixed" as kind, left, right):
            return _OPERATIONS[kind](None, _interval(left, iv), _interval(right, iv))
        case ("neg", inside):
            return -_interval(inside, iv)
        case ("percent", inside):
            return _interval(inside, iv) / 100
        case ("root", inside, degree):
            n = rational(degree)
            if n is not None and n.denominator == 1 and 2 <= n <= 100:
                return _interval_power(_interval(inside, iv), 1 / n, iv)
        case ("pow", inside, exponent):
            power = rational(exponent)
            if power is not None:
                return _interval_power(_interval(inside, iv), power, iv)
        case ("fn", "ln" | "log", inside):
            base = _interval(inside, iv)
            if base.a > 0:
                return iv.log(base)
        case ("fn", name, inside) if name in _QUOTIENTS:
            above, below = (
                1 if part == "1" else getattr(iv, part)(_interval(inside, iv))
                for part in _QUOTIENTS[name]
            )
            return above / below
    raise NotImplementedError(node[0])


_QUOTIENTS = {
    "sin": ("sin", "1"), "cos": ("cos", "1"), "tan": ("sin", "cos"), "cot": ("cos", "sin"),
    "sec": ("1", "cos"), "csc": ("1", "sin"),
}  # fmt: skip


def _interval_power(base: Any, power: Fraction, iv: Any) -> Any:
    """A rational power, real where there is a real one."""
    if power.denominator == 1 and abs(power) <= 1000:
        return base ** int(power)
    if base.b < 0 and power.denominator % 2:
        size = _interval_power(-base, power, iv)
        return -size if power.numerator % 2 else size
    if not base.a > 0:
        raise NotImplementedError("a power of a number that may be negative")
    exponent = iv.log(base) * power.numerator / power.denominator
    if abs(exponent) > MAX_LOG:
        raise NotImplementedError("a power above 10^6000")
    return iv.exp(exponent)
