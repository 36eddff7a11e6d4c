"""avg@k, pass@k and their intervals. Pure functions of counts."""

from collections.abc import Sequence
from math import comb, sqrt
from typing import NamedTuple


class Estimate(NamedTuple):
    value: float
    low: float  # 95 % interval
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased chance that one of k answers is right, after c of n were (arXiv:2107.03374, eq. 1).

    Raises:
        ValueError: k outside 1 to n, or c outside 0 to n.
    """
    if not (1 <= k <= n and 0 <= c <= n):
        raise ValueError(f"pass@k needs 1 <= k <= n and 0 <= c <= n (got n={n}, c={c}, k={k})")
    return 1.0 - comb(n - c, k) / comb(n, k)


def mean_over_problems(scores: Sequence[float]) -> Estimate:
    """Mean of one score in [0, 1] per problem, with a 95 % interval over problems.

    The answers to one problem are not independent, so the problem is the unit. The interval is
    Wilson's (1927) for the number of independent yes-or-no problems that would have the variance
    seen here; it stays in [0, 1] and has a width also where every problem scored the same.

    Raises:
        ValueError: no scores.
    """
    n = len(scores)
    if n == 0:
        raise ValueError("no problems to average over")
    mean = sum(scores) / n
    variance = sum((x - mean) ** 2 for x in scores) / (n - 1) / n if n > 1 else 0.0
    effective = max(n, mean * (1 - mean) / variance) if variance > 0 else n
    z = 1.959964
    centre = (mean + z * z / (2 * effective)) / (1 + z * z / effective)
    half = z / (1 + z * z / effective)
    half *= sqrt(mean * (1 - mean) / effective + z * z / (4 * effective * effective))
    return Estimate(mean, max(0.0, centre - half), min(1.0, centre + half))
