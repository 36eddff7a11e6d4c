"""What a curve of evaluations says about more compute, with intervals. Pure functions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from rl.evaluation.statistics import Estimate
from rl.progress import how_many
from rl.scaling.curves import PowerLaw, Sigmoid, fit_power_law, fit_sigmoid

COPIES = 200  # refits that intervals are taken from
FEWEST = 5  # points with compute: the sigmoid has three parameters, and its scatter must show
WIDEST = 0.2  # an interval of a score wider than this says nothing
TIE = 0.02  # asymptotes nearer than this are one: runs of one recipe vary by +-.015 (appendix A.5)


class Point(NamedTuple):
    step: int
    compute: float  # spent up to this evaluation
    score: float


@dataclass(frozen=True, slots=True)
class Fit:
    """The sigmoid of a run's evaluations, refits that show how well it is known, a power law."""

    points: tuple[Point, ...]  # those fitted to, without the one at the start
    start: float  # score before the first step, R0
    sigmoid: Sigmoid  # of one copy
    copies: Sigmoid  # [COPIES]
    noisy: np.ndarray  # [COPIES, points], the scores that those are fitted to
    power_law: PowerLaw  # of one copy
    scatter: float  # of the points around the sigmoid: a standard deviation
    scatter_power_law: float  # the same around the power law

    @property
    def asymptote(self) -> Estimate:
        return estimate(self.sigmoid.asymptote, self.copies.asymptote)

    @property
    def midpoint(self) -> Estimate:
        return estimate(self.sigmoid.midpoint, self.copies.midpoint)

    @property
    def exponent(self) -> Estimate:
        return estimate(self.sigmoid.exponent, self.copies.exponent)

    def at(self, compute: float) -> Estimate:
        """The score that so much compute brings."""
        return estimate(self.sigmoid.at(compute), self.copies.at(compute))

    def reaching(self, score: float) -> Estimate:
        """The compute that brings the score; inf where the curve ends below it."""
        return estimate(self.sigmoid.reaching(score), self.copies.reaching(score))

    def never_reaching(self, score: float) -> float:
        """Share of the refits that end below the score."""
        return float(np.isinf(self.copies.reaching(score)).mean())


class TooLittle(NamedTuple):
    """Why nothing can be said yet."""

    reason: str


def fit_curve(start: float, points: Sequence[Point]) -> Fit | TooLittle:
    """Fit both curves, and the sigmoid to noisy copies of itself.

    A copy is the fitted curve with noise as large as the points scatter around it. How large that
    is, is itself known only from n - 3 degrees of freedom, so it is drawn anew for every copy; the
    score at the start is measured once and gets the same noise. The interval is that of this run,
    on its held-out problems.

    Args:
        start: score without compute. points: with compute above 0, in order.
    """
    if len(points) < FEWEST:
        return TooLittle(
            f"{how_many(len(points), 'evaluation')} after the start of the fit, and {FEWEST} are "
            "the fewest that show a curve"
        )
    compute = np.array([point.compute for point in points])
    scores = np.array([point.score for point in points])
    found = fit_sigmoid(compute, scores[None], np.array([start]))
    freedom = len(points) - 3
    squares = float(((scores - found.at(compute)) ** 2).sum())
    rng = np.random.default_rng(0)
    noise = np.sqrt(squares / rng.chisquare(freedom, COPIES))
    noisy = found.at(compute) + noise[:, None] * rng.standard_normal((COPIES, len(points)))
    starts = np.clip(start + noise * rng.standard_normal(COPIES), 0.0, 1.0)
    copies = fit_sigmoid(compute, noisy, starts)
    gains = copies.at(compute[-1]) - copies.start
    if np.quantile(gains, 0.025) <= 0:
        return TooLittle(
            f"the score has not risen beyond its scatter yet, from {start:.3f} at the start to "
            f"{scores[-1]:.3f}"
        )
    law = fit_power_law(compute, scores[None])
    off = float(((scores - law.at(compute)) ** 2).sum())
    return Fit(
        points=tuple(points),
        start=start,
        sigmoid=found,
        copies=copies,
        noisy=noisy,
        power_law=law,
        scatter=float(np.sqrt(squares / freedom)),
        scatter_power_law=float(np.sqrt(off / freedom)),
    )


class Comparison(NamedTuple):
    """Of two runs, the first less the second."""

    asymptote: Estimate
    exponent: Estimate  # both curves fitted again with one asymptote, the mean of the two


def compare(first: Fit, second: Fit) -> Comparison:
    """How much higher the first curve ends, and how much steeper it is."""
    ends = (first.sigmoid.asymptote + second.sigmoid.asymptote) / 2
    steepness = [_again(fit, float(ends[0])) for fit in (first, second)]
    return Comparison(
        _difference(
            [first.sigmoid.asymptote, second.sigmoid.asymptote],
            [first.copies.asymptote, second.copies.asymptote],
        ),
        _difference([found[:1] for found in steepness], [found[1:] for found in steepness]),
    )


def _again(fit: Fit, asymptote: float) -> np.ndarray:
    """Exponents with that asymptote: of the points, then of the copies. [1 + COPIES]"""
    compute = np.array([point.compute for point in fit.points])
    scores = np.vstack([[point.score for point in fit.points], fit.noisy])
    starts = np.concatenate([[fit.start], fit.copies.start])
    return fit_sigmoid(compute, scores, np.minimum(starts, asymptote), asymptote).exponent


def _difference(values: Sequence[np.ndarray], copies: Sequence[np.ndarray]) -> Estimate:
    # All fits draw the same random numbers: shifted, copies of two runs know nothing of each other.
    return estimate(values[0] - values[1], copies[0] - np.roll(copies[1], 1))


def too_wide(score: Estimate) -> bool:
    """Whether a forecast score says nothing."""
    return score.high - score.low > WIDEST


def estimate(value: np.ndarray, copies: np.ndarray) -> Estimate:
    """The fit's value, with the central 95 % of the refits."""
    # Not interpolated: between a number and infinity there is nothing.
    low, high = np.quantile(copies, [0.025, 0.975], method="nearest")
    number = float(np.asarray(value).reshape(-1)[0])
    return Estimate(number, min(number, float(low)), max(number, float(high)))
