"""Sums of terms such as `3x^2-x+5` as text, and back."""

import re
from collections.abc import Iterable

Term = tuple[int, str]  # coefficient, and the unknown it stands before: "x^2", "y", or "" for none

_TERM = re.compile(r"([+-]?)(\d*)([a-z](?:\^\d+)?)?", re.ASCII)


def show_terms(terms: Iterable[Term]) -> str:
    """In the given order, without those that are 0."""
    text = ""
    for coefficient, unknown in terms:
        if coefficient:
            size = "" if abs(coefficient) == 1 and unknown else str(abs(coefficient))
            text += f"{'-' if coefficient < 0 else '+'}{size}{unknown}"
    return text.removeprefix("+") or "0"


def read_terms(text: str) -> list[Term]:
    """Raises ValueError when the text is no sum of terms."""
    terms, end = [], 0
    for found in _TERM.finditer(text):
        sign, size, unknown = found.groups()
        if found[0] and found.start() == end and (size or unknown):
            terms.append((int(f"{sign}{size or 1}"), unknown or ""))
            end = found.end()
    if end != len(text) or not terms:
        raise ValueError(f"'{text}' is no sum of terms such as 3x^2-x+5")
    return terms


def power(exponent: int, unknown: str = "x") -> str:
    """`x^2`, `x` or nothing."""
    return "" if exponent == 0 else unknown if exponent == 1 else f"{unknown}^{exponent}"


def exponent(unknown: str) -> int:
    """The inverse of `power`."""
    if not unknown:
        return 0
    return int(unknown.partition("^")[2] or 1)
