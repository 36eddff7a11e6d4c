"""avg@k, pass@k, pass^k, majority@k, and intervals of means. Pure functions of counts and numbers.

The problem is the unit: several answers to one problem are not independent. Where problems come in
families (twenty instances of one template), the family is: its problems rise and fall together.
"""

from collections import Counter
from collections.abc import Hashable, Sequence
from functools import lru_cache
from math import atan, comb, cos, pi, sin, sqrt
from typing import NamedTuple

LEVEL = 0.95  # of every interval
NORMAL = 1.959964  # the normal distribution has this share between minus and plus so many sigma
LARGE_DF = 10_000  # from here on Student's t is the normal distribution to four digits


class Estimate(NamedTuple):
    value: float
    low: float  # 95 % interval
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


# -- figures of one problem ------------------------------------------------------------------------


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased chance that one of k answers is right, after c of n were (arXiv:2107.03374, eq. 1).

    Raises:
        ValueError: k outside 1 to n, or c outside 0 to n.
    """
    _check("pass@k", n, c, k)
    return 1.0 - comb(n - c, k) / comb(n, k)


def pass_hat_k(n: int, c: int, k: int) -> float:
    """Unbiased chance that all of k answers are right, after c of n were (arXiv:2406.12045).

    Raises:
        ValueError: k outside 1 to n, or c outside 0 to n.
    """
    _check("pass^k", n, c, k)
    return comb(c, k) / comb(n, k)


def _check(name: str, n: int, c: int, k: int) -> None:
    if not (1 <= k <= n and 0 <= c <= n):
        raise ValueError(f"{name} needs 1 <= k <= n and 0 <= c <= n (got n={n}, c={c}, k={k})")


def majority(votes: Sequence[tuple[bool, str]]) -> float:
    """Chance that the most common answer is right, where a tie is broken by lot.

    votes: of each answer that could be read, whether it is right, and its text. All right answers
    are one, however they are spelled, because each equals the reference; wrong ones are the same
    where they have the same text but for spaces. Nobody voted: 0.
    """
    if not votes:
        return 0.0
    ballots = Counter("" if right else " ".join(text.split()) or " " for right, text in votes)
    most = max(ballots.values())
    winners = [answer for answer, count in ballots.items() if count == most]
    return ("" in winners) / len(winners)


# -- means over problems ---------------------------------------------------------------------------


def mean_over_problems(
    scores: Sequence[float], families: Sequence[Hashable] | None = None
) -> Estimate:
    """Mean of one score in [0, 1] per problem, with a 95 % interval over problems or families.

    The interval is Wilson's (1927) for the number of independent yes-or-no problems that would have
    the variance seen here; it stays in [0, 1] and has a width also where every problem scored the
    same. families: of each problem; None: every problem is one of its own.

    Raises:
        ValueError: no scores, or another number of families.
    """
    sizes, totals = _clusters(scores, families)
    n = len(scores)
    mean = sum(scores) / n
    effective = _kish(sizes)
    spread = _squared_error(sizes, totals, mean)
    if spread > 0:
        effective = max(effective, mean * (1 - mean) / spread)
    ratio = _quantile(sizes, families) ** 2 / effective
    centre = (mean + ratio / 2) / (1 + ratio)
    half = sqrt(mean * (1 - mean) * ratio + ratio * ratio / 4) / (1 + ratio)
    return Estimate(mean, max(0.0, centre - half), min(1.0, centre + half))


def mean_of_amounts(
    amounts: Sequence[float], families: Sequence[Hashable] | None = None
) -> Estimate:
    """Mean of an amount that is at least 0, such as tokens; the same unit, Student's interval.

    Raises:
        ValueError: no amounts, or another number of families.
    """
    sizes, totals = _clusters(amounts, families)
    mean = sum(amounts) / len(amounts)
    half = t_quantile(len(sizes) - 1) if len(sizes) > 1 else float("inf")
    half *= sqrt(_squared_error(sizes, totals, mean)) if len(sizes) > 1 else 1.0
    return Estimate(mean, max(0.0, mean - half), mean + half)


def _clusters(
    values: Sequence[float], families: Sequence[Hashable] | None
) -> tuple[list[int], list[float]]:
    """How many problems each family has, and the sum of their values."""
    if not values:
        raise ValueError("no problems to average over")
    if families is None:
        return [1] * len(values), list(values)
    sizes: dict[Hashable, int] = {}
    totals: dict[Hashable, float] = {}
    for value, family in zip(values, families, strict=True):
        sizes[family] = sizes.get(family, 0) + 1
        totals[family] = totals.get(family, 0.0) + value
    return list(sizes.values()), list(totals.values())


def _kish(sizes: Sequence[int]) -> float:
    """Independent problems that these would be worth if those of a family were always alike."""
    return sum(sizes) ** 2 / sum(size * size for size in sizes)


def _squared_error(sizes: Sequence[int], totals: Sequence[float], mean: float) -> float:
    """Variance of the mean, from how far families lie from it (CR2; Bell and McCaffrey 2002)."""
    n = sum(sizes)
    if len(sizes) == 1:
        return 0.0
    parts = ((t - s * mean) ** 2 / (1 - s / n) for s, t in zip(sizes, totals, strict=True))
    return sum(parts) / (n * n)


def _quantile(sizes: Sequence[int], families: Sequence[Hashable] | None) -> float:
    if families is None:
        return NORMAL
    return t_quantile(max(1, round(_kish(sizes)) - 1))


@lru_cache(maxsize=4096)
def t_quantile(df: int) -> float:
    """What Student's t with `df` degrees of freedom lies within, plus or minus, 95 % of the time.

    The share within +-t is a finite sum (Abramowitz and Stegun, 26.7.3 and 26.7.4), which is
    inverted by bisection.
    """
    if df < 1:
        raise ValueError(f"degrees of freedom must be at least 1, got {df}")
    if df >= LARGE_DF:
        return NORMAL
    low, high = 0.0, 13.0  # 12.706 with one degree of freedom
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, df) < LEVEL else (low, middle)
    return high


def _within(t: float, df: int) -> float:
    """Share of Student's t between -t and t."""
    angle = atan(t / sqrt(df))
    odd = df % 2
    total, term = 0.0, cos(angle) if odd else 1.0
    for j in range(1 + odd, df, 2):  # the term's power of the cosine is j - 1
        total += term
        term *= cos(angle) ** 2 * j / (j + 1)
    share = sin(angle) * total
    return 2 / pi * (angle + share) if odd else share
