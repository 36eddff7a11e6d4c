"""Two curves of score against compute, and their least-squares fits. Pure functions of arrays.

The sigmoid is that of "The Art of Scaling Reinforcement Learning Compute for LLMs" (arXiv
2510.13786, eq. 1), the power law its contrast (appendix A.4). Both fits take many noisy copies of
a curve at once, one per row, because intervals come from refitting copies.
"""

from typing import NamedTuple

import numpy as np

from rl.least import least

Array = np.ndarray

# Midpoints up to so many times below the least and above the most compute of the points.
MIDPOINT_REACH = 1e4
EXPONENTS = (0.05, 12.0)
TINY = 1e-300  # against division by zero
# Points of the first grids.
MIDPOINTS, N_EXPONENTS, POWERS = 81, 41, 161


class Sigmoid(NamedTuple):
    """R(C) = start + (asymptote - start) / (1 + (midpoint / C)^exponent).

    Each field is a number, or [copies].
    """

    start: Array  # R0: score without any compute
    asymptote: Array  # A: score with all of it
    midpoint: Array  # Cmid: compute at which half of the gain is there
    exponent: Array  # B: how steep

    def at(self, compute: Array | float) -> Array:
        """Score at `compute`, which may be 0."""
        with np.errstate(divide="ignore"):
            odds = (self.midpoint / np.asarray(compute, dtype=float)) ** self.exponent
        return self.start + (self.asymptote - self.start) / (1 + odds)

    def reaching(self, score: float) -> Array:
        """Compute at which the score is reached: 0 where it is at the start, inf where never."""
        with np.errstate(divide="ignore", invalid="ignore"):
            odds = (score - self.start) / (self.asymptote - score)
            found = self.midpoint * np.maximum(odds, 0.0) ** (1 / self.exponent)
        never = (score >= self.asymptote) & (score > self.start)
        return np.where(score <= self.start, 0.0, np.where(never, np.inf, found))


class PowerLaw(NamedTuple):
    """R(C) = asymptote - gap * (C / unit)^-exponent. Each field is a number, or [copies]."""

    asymptote: Array
    gap: Array  # what is missing at C = unit
    exponent: Array
    unit: Array | float

    def at(self, compute: Array | float) -> Array:
        return self.asymptote - self.gap * (np.asarray(compute) / self.unit) ** -self.exponent


def fit_sigmoid(
    compute: Array, scores: Array, start: Array, asymptote: float | None = None
) -> Sigmoid:
    """The sigmoid with the least sum of squares, of each copy.

    All of its parameters cannot be fitted from one first guess, so the published procedure
    (appendix A.5) tries asymptotes .005 apart and 100 midpoints, with a least-squares exponent for
    each pair. The same sum of squares is searched here without the error of that grid: for a given
    midpoint and exponent the score is linear in the asymptote, whose best value between start and
    1 is then known; midpoint and exponent are searched on a grid that is made finer around its
    best cell.

    Args:
        compute: [n], above 0. scores: [copies, n]. start: [copies].
        asymptote: where it is known and only midpoint and exponent are wanted.
    """
    gain = (scores - start[:, None])[..., None]  # [copies, n, 1]
    known = asymptote is not None
    room = (asymptote - start if known else np.maximum(1.0 - start, 0.0))[:, None]

    def fitted(shares: Array) -> tuple[Array, Array]:
        """Rise to the asymptote, and the sum of squares but for what is the same in all cells."""
        along, length = (shares @ gain)[..., 0], (shares**2).sum(-1)
        rise = room if known else np.clip(along / np.maximum(length, TINY), 0.0, room)
        return rise, rise * rise * length - 2 * rise * along

    logs = np.log(compute)
    reach = np.log(MIDPOINT_REACH)
    best = least(
        lambda cells: fitted(_shares(cells, logs))[1],
        (logs.min() - reach, np.log(EXPONENTS[0])),
        (logs.max() + reach, np.log(EXPONENTS[1])),
        (MIDPOINTS, N_EXPONENTS),
    )
    rise = fitted(_shares(best[:, None], logs))[0][:, 0]
    return Sigmoid(start, start + rise, np.exp(best[:, 0]), np.exp(best[:, 1]))


def fit_power_law(compute: Array, scores: Array) -> PowerLaw:
    """The power law with the least sum of squares of each copy, its asymptote at most 1.

    Args:
        compute: [n], above 0. scores: [copies, n].
    """
    unit = float(np.exp(np.log(compute).mean()))
    logs = np.log(compute / unit)

    def powers(cells: Array) -> Array:
        return np.exp(-np.exp(cells) * logs)  # [..., cells, n]

    def squares(cells: Array) -> Array:
        asymptote, gap = _linear(scores, powers(cells))
        off = scores[:, None] - asymptote[..., None] + gap[..., None] * powers(cells)
        return (off**2).sum(-1)

    best = least(squares, (np.log(0.01),), (np.log(EXPONENTS[1]),), (POWERS,))
    asymptote, gap = _linear(scores, powers(best[:, None]))
    return PowerLaw(asymptote[:, 0], gap[:, 0], np.exp(best[:, 0]), unit)


def _shares(parameters: Array, logs: Array) -> Array:
    """Share of the gain at each point, [..., n], for [..., (log midpoint, log exponent)]."""
    steepness = np.exp(parameters[..., 1:])
    return 1 / (1 + np.exp(np.clip(steepness * (parameters[..., :1] - logs), -500, 500)))


def _linear(scores: Array, powers: Array) -> tuple[Array, Array]:
    """Best asymptote (at most 1) and gap (at least 0) for given powers: [copies, cells] each."""
    mean = powers.mean(-1)
    spread = powers - mean[..., None]
    level = scores.mean(-1)[:, None]
    length = np.maximum((spread**2).sum(-1), TINY)
    gap = np.maximum(-np.einsum("cn,ckn->ck", scores, spread) / length, 0.0)
    asymptote = level + gap * mean
    above = asymptote > 1
    through = np.einsum("cn,ckn->ck", 1 - scores, powers) / np.maximum((powers**2).sum(-1), TINY)
    return np.where(above, 1.0, asymptote), np.where(above, np.maximum(through, 0.0), gap)
