"""Decimals that stand for an exact value: where a rule allows them, and behind `\\approx`."""

import re
from fractions import Fraction

from verifiers import numeric
from verifiers.forms import is_expression, is_plain
from verifiers.latex import Node
from verifiers.rational import rational

_DECIMAL = re.compile(r"(?P<sign>[-\u2212]?)(?P<whole>[0-9]*)\.(?P<places>[0-9]+)")


def rounds_to(gold: Node, answer: str, digits: int) -> bool:
    """Whether `answer` is gold, rounded correctly to `digits` or more significant digits.

    Raises:
        TooLarge: gold has an intermediate value above 10^6000.
    """
    found = _DECIMAL.fullmatch(answer.strip())
    if found is None or len(answer) > 100 or not is_expression(gold):
        return False
    if len((found["whole"] + found["places"]).lstrip("0")) < digits:
        return False
    shown = Fraction(found["sign"].replace("\u2212", "-") + found["whole"] + "." + found["places"])
    return numeric.is_within(gold, shown, Fraction(1, 2 * 10 ** len(found["places"])))


def is_about(exact: Node, shown: Node) -> bool:
    r"""Whether `exact \approx shown` is true: a decimal, off by half a unit of its last digit at
    most. Of points, part by part.

    Raises:
        TooLarge: there is an intermediate value above 10^6000.
    """
    if exact[0] == shown[0] == "bracket" and len(exact[2]) == len(shown[2]):
        return all(is_about(x, y) for x, y in zip(exact[2], shown[2], strict=True))
    number = rational(shown) if is_plain(shown) else None
    places = None if number is None else _places(number)
    if number is None or places is None or not is_expression(exact):
        return False
    half = Fraction(1, 2 * 10**places)
    known = rational(exact)
    if known is not None:
        return abs(known - number) <= half
    return numeric.is_within(exact, number, half)


def _places(number: Fraction) -> int | None:
    """How many decimals a number has; None when they never end."""
    places = max(_exponent(number.denominator, 2), _exponent(number.denominator, 5))
    return places if 10**places % number.denominator == 0 else None


def _exponent(n: int, prime: int) -> int:
    count = 0
    while n % prime == 0:
        n, count = n // prime, count + 1
    return count
