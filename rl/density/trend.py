"""How fast density grows: ln(max density) = A t + B (arXiv:2412.04315). Pure functions."""

from collections.abc import Sequence
from datetime import date
from math import exp, inf, log
from typing import NamedTuple

import numpy as np

from rl.density.fit import fit_line


class Point(NamedTuple):
    day: date
    density: float
    name: str = ""


class Trend(NamedTuple):
    """A straight line through ln(density) over days."""

    growth: float  # A, per day
    growth_low: float  # 95 % interval
    growth_high: float
    first: date
    at_first: float  # the line's density on that day
    points: int

    @property
    def doubling_days(self) -> tuple[float, float, float]:
        """ln 2 / A and its 95 % interval; infinite where density may as well not grow."""
        value, low, high = (
            log(2) / a if a > 0 else inf for a in (self.growth, self.growth_high, self.growth_low)
        )
        return value, low, high


def frontier(points: Sequence[Point]) -> list[Point]:
    """Those denser than everything of their day and before: the law is about the maximum."""
    found: list[Point] = []
    for point in sorted(points, key=lambda p: (p.day, -p.density)):
        if not found or point.density > found[-1].density:
            found.append(point)
    return found


def fit_trend(points: Sequence[Point]) -> Trend:
    """Least squares of ln(density), with Student's t for the interval.

    Raises:
        ValueError: fewer than three points, all of one day, or a density that is not above 0.
    """
    if any(not 0 < p.density < inf for p in points):
        raise ValueError("a density must be a number above 0")
    first = min(p.day for p in points) if points else date.min
    days = np.array([(p.day - first).days for p in points], float)
    slope, intercept, half = fit_line(days, np.log([p.density for p in points]))
    return Trend(slope, slope - half, slope + half, first, exp(intercept), len(points))
