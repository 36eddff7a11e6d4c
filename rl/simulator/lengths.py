"""How long answers are, as the simulator is told: drawn from a distribution, or those of a run."""

import math
from collections.abc import Callable, Sequence
from random import Random
from statistics import NormalDist
from typing import NamedTuple

from rl.errors import UserError


class Lengths(NamedTuple):
    """One task and the answers to it, in tokens."""

    prompt: int
    answers: tuple[int, ...]
    learned_share: float = 1.0  # of its tokens that the learner computes: 0 without signal


Source = Callable[[int], Lengths]  # number of a task, from 0 -> its lengths, always the same ones


def lognormal(
    mean: float, longest: int, sigma: float, group_size: int, *, prompt: int = 0, seed: int = 0
) -> Source:
    """Answers whose length is log-normal and cut off at `longest`; `mean` is that after the cut.

    Args:
        sigma: standard deviation of the logarithm, above 0: .5 is mild, 1 skewed, 1.5 extreme.

    Raises:
        UserError: no log-normal distribution has that mean below that budget.
    """
    mu = _mu(mean, longest, sigma)

    def draw(index: int) -> Lengths:
        rng = Random(f"{seed}/{index}")
        answers = (rng.lognormvariate(mu, sigma) for _ in range(group_size))
        return Lengths(prompt, tuple(max(1, min(longest, round(x))) for x in answers))

    return draw


def in_turn(groups: Sequence[Lengths]) -> Source:
    """The groups in their order, and from the first one again when they are through.

    Raises:
        UserError: there are none.
    """
    if not groups:
        raise UserError("no answers to take lengths from")
    return lambda index: groups[index % len(groups)]


def _mu(mean: float, longest: int, sigma: float) -> float:
    """Mean of the logarithm such that min(X, longest) has the given mean, by bisection."""
    if not 1 <= mean < longest or sigma <= 0:
        raise UserError(
            f"lengths of mean {mean:g}, at most {longest}, sigma {sigma:g}: the mean must be at "
            "least 1 and below the most, and sigma above 0"
        )
    low, high = math.log(mean) - sigma**2 - 1, math.log(longest) + 10 * sigma
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _mean(middle, longest, sigma) < mean else (low, middle)
    return high


def _mean(mu: float, longest: int, sigma: float) -> float:
    """E[min(X, m)] of a log-normal X: the part of the mean below m, and m for the rest."""
    below = NormalDist(mu, sigma)
    cut = math.log(longest)
    part = math.exp(mu + sigma**2 / 2) * below.cdf(cut - sigma**2)
    return part + longest * (1 - below.cdf(cut))
