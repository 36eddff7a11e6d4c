r"""Units and number words around an answer: `5\text{ cm}`, `\$12.50`, `45^\circ`."""

import re
from typing import NamedTuple

from verifiers.numerals import numeral
from verifiers.wording import WRAPPED, letters


class Quantity(NamedTuple):
    value: str
    unit: str  # "" when there is none


# Of every kind of quantity: the units in their short form, each with its other spellings.
_KINDS: dict[str, dict[str, str]] = {
    "length": {
        "cm": "centimeter cms centimetre", "mm": "millimeter millimetre", "m": "meter metre",
        "km": "kilometer kilometre", "in": "inch inches", "ft": "foot feet", "yd": "yard",
        "mi": "mile",
    },
    "mass": {
        "kg": "kilogram", "g": "gram", "mg": "milligram", "lb": "pound lbs", "oz": "ounce",
        "ton": "tonne",
    },
    "time": {
        "s": "second sec", "min": "minute", "h": "hour hr", "day": "", "week": "", "month": "",
        "year": "yr",
    },
    "volume": {
        "l": "liter litre", "ml": "milliliter millilitre", "gallon": "", "cup": "", "quart": "",
        "pint": "",
    },
    "money": {"dollar": "usd", "cent": "", "euro": "", "yuan": "", "rupee": ""},
    "angle": {"degree": "deg", "radian": "rad"},
    "share": {"percent": "percents pct percentage"},
    "physics": {"hertz": "hz", "joule": "j", "newton": "n", "watt": "w", "volt": "v"},
    "speed": {"mph": "", "kmh": "kph"},
    "clock": {"am": "a.m.", "pm": "p.m."},
    "count": {
        "unit": "", "item": "", "people": "person", "student": "", "piece": "", "time": "",
        "way": "",
    },
    "word": {"square": "sq", "cubic": "cu", "per": ""},
}  # fmt: skip
_CANONICAL = {
    spelling + plural: unit
    for units in _KINDS.values()
    for unit, others in units.items()
    for spelling in (unit, *others.split())
    for plural in ("", "s")
}
_KIND = {unit: kind for kind, units in _KINDS.items() for unit in units}
_COMPOUND = {"mph": "mi per h", "kmh": "km per h"}

UNIT_WORDS = sorted(
    (re.escape(word) for word, unit in _CANONICAL.items() if len(word) > 1 and _KIND[unit] in
     ("length", "mass", "time", "volume", "money", "angle")),
    key=len,
    reverse=True,
)  # fmt: skip

_MULTIPLIERS = {
    "dozen": 12, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9,
    "trillion": 10**12,
}  # fmt: skip
# Words that say something about an answer, so that they are no name of what is counted.
NO_UNITS = frozenset(
    word
    for line in (
        "and are but can for has have how its less more most least not than that the them then",
        "there these they this was were what when which who with about above all also any below",
        "between both does each either equal even ever every except exactly fewer from given",
        "great greater half hundred hundreds thousand thousands million millions billion dozen",
        "dozens double twice triple times into just large largest many maximum minimum minus much",
        "negative neither never nor none odd one only other over percent plus positive same",
        "several small smaller smallest some such two three four five six seven eight nine ten",
        "third thirds quarter quarters fourth under until wrong zero answer correct",
        "no or remainder rem mod modulo trillion approximately roughly nearly almost maybe perhaps",
        "squared cubed factorial",
    )
    for word in line.split()
)

_UNIT = WRAPPED.replace("|mathbf", "")  # a bold letter is a vector
_TRAILING = re.compile(
    _UNIT
    + r"(?P<power>\^\{?[23]\}?)?$"
    + r"|(?<![a-zA-Z\\{])(?P<bare>[a-zA-Z]{2,12}(?:(?: |/)[a-z]{1,12})*)(?P<raised>\^\{?[23]\}?)?$"
)
_ANGLE = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)|circ.*circ|\u00b0.*\u00b0", re.DOTALL)
_DEGREES = re.compile(r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|\u00b0|\\degree)\s*$")
_PERCENT = re.compile(r"(?:\\[,;:! ]|~|\s)*\\?%\s*$")
_NAMED = re.compile(r"[a-z.,'/^ -]+")
_SPACE = re.compile(r"(?:\\[,;:! ]|~|\s)+$")


def quantity(text: str, *, any_unit: bool = False, nouns: frozenset[str] = frozenset()) -> Quantity:
    r"""An answer and its unit, as far as the unit is one that is known; else all of it.

    any_unit: whatever stands in a `\text{...}` at the end, or a word there, counts as the unit.
    nouns: so do words at the end that are all among these, `7 \text{ apples}`.
    Number words multiply: `3\text{ million dollars}` is 3000000 dollars. Words that say something
    about the number (`or more`, `remainder`) are never a unit.
    """
    for sign in ("", "-"):
        for dollar in (sign + r"\$", sign + "$"):
            if text.startswith(dollar):
                return Quantity(_multiplied(sign + text[len(dollar) :]), "dollar")
    for pattern, unit in ((_DEGREES, "degree"), (_PERCENT, "percent")):
        found = pattern.search(text[-40:])
        if found and not _ANGLE.search(text):
            return Quantity(text[: len(text) - len(found[0])], unit)
    found = _TRAILING.search(text[-200:])
    if found is None:
        return Quantity(text, "")
    value = _SPACE.sub("", text[: len(text) - len(found[0])][-4000:])
    named = (found["bare"] or found[1] or "").casefold().split()
    power = found["power"] or found["raised"] or ""
    times = _MULTIPLIERS.get(named[0]) if named else None
    if times is not None:
        multiplied = _times(value, times)
        if multiplied is None or (power and not named[1:]):
            return Quantity(text, "")
        value, named = multiplied, named[1:]
        if not named:
            return Quantity(value, "")
    unit = canonical_unit(" ".join(named), power)
    if (
        not unit
        and named
        and not NO_UNITS.intersection(named)
        and _NAMED.fullmatch(" ".join(named))
    ):
        counted = found[1] is not None or (letters(found["bare"]) and numeral(value) is not None)
        if (any_unit and counted) or nouns.issuperset(named):
            unit = " ".join(named)
    return Quantity(value, unit) if unit and value else Quantity(text, "")


def _multiplied(text: str) -> str:
    r"""`3\text{ million}` as `3000000`; anything else as it is."""
    found = quantity(text)
    return text if found.unit else found.value


def _times(value: str, times: int) -> str | None:
    """A plain number times a number word, written out; None when it is no plain number."""
    number = numeral(value)
    return None if number is None else str(number.value * times)


def canonical_unit(named: str, power: str = "") -> str:
    """The one spelling that is used for a unit: "cm ^2" for square centimetres; "" for none."""
    parts = named.casefold().replace("/", " per ").replace("~", " ").split()
    known = [_CANONICAL[part] for part in parts if part in _CANONICAL]
    if not parts or len(known) < len(parts):
        return ""
    for word, exponent in (("square", "^2"), ("cubic", "^3")):
        if known[0] == word and len(known) > 1:
            known = [*known[1:], exponent]
    if power:
        known.append("^" + power.strip("^{}"))
    unit = " ".join(known)
    return _COMPOUND.get(unit, unit)


def same_kind(unit: str, other: str) -> bool:
    """Whether two units measure the same kind of quantity: cm and km do, cm and cm ^2 do not."""
    (first, *rest), (second, *others) = unit.split(), other.split()
    return _KIND.get(first, first) == _KIND.get(second, second) and len(rest) == len(others)
