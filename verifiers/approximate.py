"""Decimals that stand for an exact value, where a rule allows them."""

import re
from fractions import Fraction

from verifiers import numeric
from verifiers.forms import is_expression
from verifiers.latex import Node

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
