"""Density of a policy: the size that a reference family needs for its score, over its own size.

Beside it stands what the answers cost: tokens, and the bits that the weights are kept in. Pure
functions; everything is drawn as often as the reference has replicates, so that what is common to
two policies cancels in their ratio.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from rl.density.fit import Reference
from rl.density.law import Span
from rl.evaluation.statistics import NORMAL, Estimate

FULL_BITS = 16  # of a weight that is not quantised, whatever it is computed in
BITS = {None: FULL_BITS, "int8": 8, "int4": 4}  # by eval's variant; nominal


class Scored(NamedTuple):
    """A policy's score on one kind of task, and what it was reached with."""

    name: str
    env: str
    parameters: int
    score: Estimate
    mean_tokens: float | None  # per answer
    step: int | None = None
    variant: str | None = None  # None, int8 or int4
    date: str = ""  # ISO; for trends


@dataclass(frozen=True, slots=True)
class Quantity:
    """A positive number that may be known by a bound only, with its 95 % interval.

    `low` is 0 and `high` infinite where the family's end is in the way.
    """

    span: Span
    low: float
    high: float

    @property
    def bound(self) -> str:
        """Empty where the number is known, else "at least", "at most" or "unknown"."""
        if self.span.known:
            return ""
        if self.span.low == 0:
            return "unknown" if self.span.high == inf else "at most"
        return "at least"

    @property
    def value(self) -> float | None:
        """The number, or its bound; None where it is unknown."""
        if self.bound == "unknown":
            return None
        return self.span.high if self.bound == "at most" else self.span.low

    def to_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "bound": self.bound or None,
            "low": self.low or None,
            "high": self.high if self.high < inf else None,
        }

    def text(self, shown: Callable[[float], str]) -> str:
        if self.value is None:
            return "unknown"
        low = shown(self.low) if self.low > 0 else "open"
        high = shown(self.high) if self.high < inf else "open"
        return f"{self.bound} {shown(self.value)} [{low}, {high}]".strip()


@dataclass(frozen=True, slots=True)
class Draws:
    """A positive number as it was found, and as it might as well have been."""

    point: Span
    low: NDArray[np.float64]  # [replicates], with `high` a span each
    high: NDArray[np.float64]

    def times(self, factor: float) -> "Draws":
        point = Span(self.point.low * factor, self.point.high * factor)
        return Draws(point, self.low * factor, self.high * factor)

    def over(self, other: "Draws") -> "Draws":
        """The ratio, draw by draw; what is unknown in either is unknown in it."""
        own, its = self.point, other.point
        low = [_over(*pair) for pair in zip(self.low, other.high, strict=True)]
        high = [_over(*pair) for pair in zip(self.high, other.low, strict=True)]
        point = Span(_over(own.low, its.high), _over(own.high, its.low))
        return Draws(point, np.array(low), np.array(high))

    def quantity(self) -> Quantity:
        """The interval holds 95 % of the draws, those at the family's ends as far as they reach."""
        low = float(np.quantile(self.low, 0.025, method="inverted_cdf"))
        high = float(np.quantile(self.high, 0.975, method="inverted_cdf"))
        return Quantity(self.point, min(low, self.point.low), max(high, self.point.high))


def _over(x: float, y: float) -> float:
    return 0.0 if y == inf else inf if y == 0 else x / y


@dataclass(frozen=True, slots=True)
class Density:
    """What one score says."""

    scored: Scored
    size: Draws  # effective, in parameters
    density: Draws
    in_use: Draws | None  # None: the family's tokens per answer, or the policy's, are not known
    by_bits: Draws  # equal to density where nothing is quantised

    def to_json(self) -> dict[str, Any]:
        scored = self.scored
        return {
            "name": scored.name,
            "env": scored.env,
            "step": scored.step,
            "variant": scored.variant,
            "date": scored.date or None,
            "parameters": scored.parameters,
            "score": scored.score._asdict(),
            "mean_tokens": scored.mean_tokens,
            "effective_parameters": self.size.quantity().to_json(),
            "density": self.density.quantity().to_json(),
            "density_in_use": self.in_use.quantity().to_json() if self.in_use else None,
            "density_by_bits": self.by_bits.quantity().to_json(),
        }


def density(reference: Reference, scored: Scored) -> Density:
    """Effective size over size (arXiv:2412.04315), and twice more:

    in use   times the tokens that the family needs for an answer at that size, over those that the
             policy needs: an answer costs about 2 N FLOP per token, so this is the family's cost
             of such an answer over the policy's.
    by bits  times 16 over the bits of a weight: the family's memory over the policy's.
    """
    size = effective_size(reference, scored)
    found = size.times(1 / scored.parameters)
    in_use = None
    if scored.mean_tokens and reference.mean_tokens(scored.parameters) is not None:
        in_use = _in_use(found, size, reference, scored.mean_tokens)
    return Density(scored, size, found, in_use, found.times(FULL_BITS / BITS[scored.variant]))


def effective_size(reference: Reference, scored: Scored) -> Draws:
    """The size that the family needs for the score.

    A draw takes one replicate of the curve, and the score as far off as its interval says.
    """
    value, low, high = scored.score
    seed = crc32(f"{scored.name}/{scored.env}/{scored.step}/{scored.variant}".encode())
    z = np.random.default_rng(seed).standard_normal(len(reference.replicates))
    scores = np.clip(value + z * np.where(z < 0, value - low, high - value) / NORMAL, 0, 1)
    spans = [
        curve.effective_size(float(score))
        for curve, score in zip(reference.replicates, scores, strict=True)
    ]
    point = reference.curve.effective_size(value)
    return Draws(point, np.array([s.low for s in spans]), np.array([s.high for s in spans]))


def _in_use(found: Draws, size: Draws, reference: Reference, spent: float) -> Draws:
    """Beyond an end of the family its tokens per answer are those of the member at that end."""

    def factor(span: Span) -> float:
        at = span.low if span.low > 0 else span.high
        return (reference.mean_tokens(at) or 0.0) / spent

    factors = np.array([factor(Span(*s)) for s in zip(size.low, size.high, strict=True)])
    point = factor(size.point)
    return Draws(
        Span(found.point.low * point, found.point.high * point),
        found.low * factors,
        found.high * factors,
    )


def label(found: Density) -> str:
    """What a policy is called in a plot."""
    step = "" if found.scored.step is None else f" step {found.scored.step}"
    variant = f" {found.scored.variant}" if found.scored.variant else ""
    return f"{found.scored.name}{step}{variant}"
