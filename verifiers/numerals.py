"""Numbers as they are written, read exactly and without algebra."""

import re
from fractions import Fraction
from math import gcd
from typing import NamedTuple

MAX_DIGITS = 4000  # of a number that is turned into an integer (Python's own limit is 4300)

_SPACING = re.compile(r"\\[,;:! ]|~|\s|\\(?:displaystyle|textstyle|left|right)(?![a-zA-Z])")
_GROUPED = re.compile(r"\d{1,3}(?:(?:,|\{,\}|,\\!|\\,|\\ )\d{3})+(?![\d,])", re.ASCII)
_PLAIN = re.compile(
    r"(?P<sign>[-+\u2212]?)(?:"
    r"\\[dt]?frac\{(?P<top>[-+]?\d+)\}\{(?P<bottom>[-+]?\d+)\}"
    r"|\\[dt]?frac(?P<top1>\d)(?P<bottom1>\d)"
    r"|(?P<left>\d+)/(?P<right>\d+)"
    r"|(?P<decimal>\d+(?:\.\d*)?|\.\d+)"
    r")",
    re.ASCII,
)


def tidy(text: str) -> str:
    """The answer without math delimiters, style commands and a full stop around it."""
    text = text.strip()
    if text.isalnum():
        return text
    for _ in range(4):  # not as often as somebody likes to write dollars
        before = text
        text = text.removesuffix(".").strip() if not text.endswith("..") else text
        for opening, closing in (("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")):
            inner = text[len(opening) : -len(closing)]
            if text.startswith(opening) and text.endswith(closing) and len(text) > 2:
                text = inner.strip()
                break
        text = text.removeprefix(r"\displaystyle").strip()
        if text.endswith("\\") and not text.endswith("\\\\"):  # what is left of "\\ "
            text = text[:-1].strip()
        if text == before:
            break
    return text


class Numeral(NamedTuple):
    """A number and how it is written."""

    value: Fraction
    is_fraction: bool = False
    in_lowest_terms: bool = True  # of a fraction; true for any other number

    @property
    def is_decimal(self) -> bool:
        return not self.is_fraction and self.value.denominator != 1


def numeral(text: str) -> Numeral | None:
    """An integer, decimal or fraction as an exact number; None for anything else.

    Spacing commands, thousands separators and a pair of parentheses are allowed around it.
    """
    if len(text) <= MAX_DIGITS and text.isdigit() and text.isascii():
        return Numeral(Fraction(int(text)))
    if len(text) > 2 * MAX_DIGITS:
        return None
    found = _PLAIN.fullmatch(text) or _PLAIN.fullmatch(_without_spacing(text))
    if found is None:
        return None
    if len(text) > MAX_DIGITS and max(map(len, re.findall(r"\d+", found[0]))) > MAX_DIGITS:
        return None
    sign = -1 if found["sign"] in ("-", "\u2212") and found["sign"] else 1
    if found["decimal"]:
        return Numeral(sign * Fraction(found["decimal"]))
    top = int(found["top"] or found["top1"] or found["left"])
    bottom = int(found["bottom"] or found["bottom1"] or found["right"])
    if bottom == 0:
        return None
    lowest = abs(bottom) != 1 and gcd(top, bottom) == 1
    return Numeral(Fraction(sign * top, bottom), True, lowest)


def _without_spacing(text: str) -> str:
    text = _GROUPED.sub(lambda found: re.sub(r"\D", "", found[0]), text)
    text = _SPACING.sub(" ", text).strip()
    if text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    return re.sub(r" ?([-+/{}\u2212]) ?", r"\1", text)


def long_integer(text: str) -> str | None:
    """Sign and digits of an integer too long to be a number, so that two such can be compared."""
    if len(text) <= MAX_DIGITS:
        return None
    digits = text.replace(",", "")
    sign = "-" if digits.startswith("-") else ""
    digits = digits.removeprefix("-").lstrip("0")
    return sign + digits if digits.isdigit() and digits.isascii() else None
