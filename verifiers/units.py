r"""Units and words around an answer: `5\text{ cm}`, `\$12.50`, `45^\circ`, `\text{Monday}`."""

import re
from typing import NamedTuple

from verifiers.tokens import TEXT


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

_WRAPPED = r"\\(?:" + "|".join(sorted(TEXT, reverse=True)) + r")\s*\{([^{}\\]*)\}"
_UNIT = _WRAPPED.replace("|mathbf", "")  # a bold letter is a vector
_TRAILING = re.compile(
    _UNIT
    + r"(?P<power>\^\{?[23]\}?)?$"
    + r"|(?<![a-zA-Z\\{])(?P<bare>[a-zA-Z]{2,12}(?:(?: |/)[a-z]{1,12})*)(?P<raised>\^\{?[23]\}?)?$"
)
_ANGLE = re.compile(r"\\(?:sin|cos|tan|cot|sec|csc)|circ.*circ|\u00b0.*\u00b0", re.DOTALL)
_DEGREES = re.compile(r"\s*(?:\^\s*\{?\s*\\circ\s*\}?|\u00b0|\\degree)\s*$")
_PERCENT = re.compile(r"(?:\\[,;:! ]|~|\s)*\\?%\s*$")
_SPACE = re.compile(r"(?:\\[,;:! ]|~|\s)+$")
_WORDS = re.compile(r"[a-zA-Z][a-zA-Z' -]*")


def quantity(text: str, *, any_unit: bool = False, nouns: frozenset[str] = frozenset()) -> Quantity:
    r"""An answer and its unit, as far as the unit is one that is known; else all of it.

    any_unit: whatever stands in a `\text{...}` at the end counts as the unit.
    nouns: so do words at the end that are all among these, `7 \text{ apples}`.
    """
    for sign in ("", "-"):
        for dollar in (sign + r"\$", sign + "$"):
            if text.startswith(dollar):
                return Quantity(sign + text[len(dollar) :], "dollar")
    for pattern, unit in ((_DEGREES, "degree"), (_PERCENT, "percent")):
        found = pattern.search(text[-40:])
        if found and not _ANGLE.search(text):
            return Quantity(text[: len(text) - len(found[0])], unit)
    found = _TRAILING.search(text[-200:])
    if found:
        unit = canonical_unit(
            found["bare"] or found[1] or "", found["power"] or found["raised"] or ""
        )
        named = (found["bare"] or found[1] or "").casefold().split()
        if not unit and (any_unit or (named and nouns.issuperset(named))):
            unit = " ".join(named) if found[1] or nouns else ""
        value = _SPACE.sub("", text[: len(text) - len(found[0])][-4000:])
        if unit and value:
            return Quantity(value, unit)
    return Quantity(text, "")


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


def words(text: str, *, wrapped_only: bool = True) -> str | None:
    r"""The words of an answer that is words, in small letters; None when it is not.

    `\text{...}` around two letters or more says that it is words. Without it (and `wrapped_only`
    not asked for) so does being nothing but letters; a capital in front is enough of a sign too.
    """
    found = re.fullmatch(_WRAPPED + r"\.?", text.strip())
    inside = (found[1] if found else text).strip().removesuffix(".")
    if not _WORDS.fullmatch(inside) or len(inside) < 2:
        return None
    plainly = re.fullmatch(r"[A-Z][a-z]{2,}(?: [a-zA-Z]+)*", inside)
    if found or not wrapped_only or plainly:
        return " ".join(inside.casefold().split())
    return None
