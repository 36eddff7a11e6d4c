"""Converting between units, exactly."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from random import Random
from typing import Any, ClassVar, Literal, get_args

from envs.family import Family, Kind, Notes

Name = Literal["length", "mass", "time", "volume", "area", "speed"]
Units = dict[str, Fraction]  # from the smallest up, each in terms of the same unit


def units(**sizes: str) -> Units:
    return {name.replace("_", " "): Fraction(size) for name, size in sizes.items()}


METRIC: dict[Name, Units] = {
    "length": units(mm="1", cm="10", m="1000", km="1000000"),
    "mass": units(mg="1", g="1000", kg="1000000", tonnes="1000000000"),
    "time": units(seconds="1", minutes="60", hours="3600", days="86400", weeks="604800"),
    "volume": units(ml="1", cl="10", dl="100", litres="1000"),
    "area": {"mm^2": Fraction(1), "cm^2": Fraction(100), "m^2": Fraction(10**6)},
    "speed": {"m/min": Fraction(1), "km/h": Fraction(50, 3), "m/s": Fraction(60)},
}
# In terms of the same units, by the international definitions of inch, pound and US gallon.
IMPERIAL: dict[Name, Units] = {
    "length": units(inches="25.4", feet="304.8", yards="914.4", miles="1609344"),
    "mass": units(ounces="28349.523125", pounds="453592.37"),
    "volume": units(US_pints="473.176473", US_gallons="3785.411784"),
    "area": units(square_inches="645.16", square_feet="92903.04"),
    "speed": {"feet per minute": Fraction("0.3048"), "miles per hour": Fraction("26.8224")},
}
SIZES: Units = {
    unit: size
    for table in (METRIC, IMPERIAL)
    for group in table.values()
    for unit, size in group.items()
}
LARGEST_AMOUNT = (20, 60, 300, 2000, 2000)  # by level


def draw_from(name: Name) -> Callable[[Random, int], dict[str, Any]]:
    def draw(rng: Random, level: int) -> dict[str, Any]:
        source, target = rng.choice(pairs(name, level))
        amount = Fraction(rng.randint(2, LARGEST_AMOUNT[level - 1]))
        if level >= 3:
            amount /= rng.choice((10, 100) if level >= 4 else (1, 10))
        return {"amount": show(amount), "source": source, "target": target}

    return draw


def pairs(name: Name, level: int) -> list[tuple[str, str]]:
    """Which units (from, to) a level asks for."""
    metric, imperial = list(METRIC[name]), list(IMPERIAL.get(name, {}))
    if level == 1:
        return list(zip(metric[1:], metric, strict=False))
    if level == 5 and imperial:
        return [(source, target) for source in imperial for target in metric]
    down = [(large, small) for small, large in combinations(metric, 2)]
    if level >= 4:
        down += [(large, small) for small, large in combinations(imperial, 2)]
    return down if level == 2 else down + [(small, large) for large, small in down]


def work(notes: Notes, amount: str | int, source: str, target: str) -> str:
    """Through the unit that both are given in."""
    value, up, down = Fraction(amount), SIZES[source], SIZES[target]
    if up != 1:
        value = notes.step(f"{show(value)}*{show(up)}", value * up)
    if down != 1:
        value = notes.step(f"{show(value)}/{show(down)}", value / down)
    return show(value)


def show(value: Fraction) -> str:
    """As a decimal where that ends, else as a fraction in lowest terms."""
    places, rest = 0, value.denominator
    while rest % 2 == 0 or rest % 5 == 0:
        places, rest = places + 1, rest // (10 if rest % 10 == 0 else 5 if rest % 5 == 0 else 2)
    if rest > 1:
        return str(value)
    digits = str(abs(value.numerator) * 10**places // value.denominator).zfill(places + 1)
    whole, decimals = digits[: len(digits) - places], digits[len(digits) - places :]
    return ("-" if value < 0 else "") + whole + (f".{decimals}" if places else "")


@dataclass(frozen=True)
class UnitConversion(Family):
    """`Convert 3.5 km to m, exactly.` The answer is the number, as a decimal or a fraction.

    | level | units | amounts |
    |---|---|---|
    | 1 | metric and time, to the next smaller unit | whole, up to 20 |
    | 2 | to any smaller unit | whole, up to 60 |
    | 3 | to any unit, smaller or larger | up to 30 with a decimal |
    | 4 | also within feet and pounds | up to 200 with two decimals |
    | 5 | from feet and pounds to metric | up to 200 with two decimals |
    """

    KINDS: ClassVar[dict[Name, Kind]] = {
        name: Kind("Convert {amount} {source} to {target}, exactly.", draw_from(name), work)
        for name in METRIC
    }
    kinds: tuple[Name, ...] = get_args(Name)
