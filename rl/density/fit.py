"""Fits the laws of a reference family to its table, with a bootstrap for what is not certain.

Given two of its parameters each law is linear in the other two: `least` searches for the former.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

import numpy as np

from rl.density.law import Curve, LogSize, LossLaw, ScoreLaw
from rl.evaluation.statistics import NORMAL, Estimate, t_quantile
from rl.least import Floats, least

FEWEST_SIZES = 5  # the score law has four parameters
REPLICATES = 200
POINTS = 21  # of the first grid, along each axis


@dataclass(frozen=True, slots=True)
class Member:
    """One model of a reference family, on one kind of task."""

    name: str
    parameters: int
    tokens: float | None  # it was trained on
    loss: float | None  # nats per token of held-out worked solutions
    score: Estimate | None  # low and high are equal to value where no interval is known
    mean_tokens: float | None  # per answer


@dataclass(frozen=True, slots=True)
class Reference:
    """A family's curve on one kind of task, and what else it could be."""

    curve: Curve
    replicates: tuple[Curve, ...]  # fits to tables that might as well have been measured
    members: tuple[Member, ...]  # smallest first

    def mean_tokens(self, parameters: float) -> float | None:
        """Tokens per answer of the family at a size: linear in ln N between its members, that of
        the last one beyond; None where a member's are not known."""
        known = [(m.parameters, m.mean_tokens) for m in self.members if m.score is not None]
        if any(tokens is None for _, tokens in known):
            return None
        sizes, tokens = zip(*known, strict=True)
        return float(np.interp(np.log(parameters), np.log(sizes), tokens))


class NoCurve(ValueError):
    """A table that no curve can be fitted to; the message says why."""


def fit_reference(
    members: Sequence[Member],
    tokens: float | None = None,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Reference:
    """The curve of a family, and curves fitted to as many parametric bootstrap replicates.

    In a replicate every loss and score is what the curve says plus noise as large as its distance
    from the members, or as a member's own interval where that is wider.

    Args:
        members: of one family, on one kind of task. Those without a score help to fit the loss law;
            those without a loss do not help where others have one.
        tokens: D0; None: what all of them were trained on.

    Raises:
        NoCurve: fewer than 5 sizes with scores, several D and no D0, a D0 that lies outside, a
            largest member that scores no better than the smallest, or losses that do not fall.
    """
    table = _table(members, tokens)
    best = table.curve(table.losses, table.scores)
    if best.score(best.largest) <= best.score(best.smallest):
        raise NoCurve("its scores rise with size and its losses do not fall: no law has both")
    losses = np.array([best.loss_law.loss(*pair) for pair in zip(*table.of_losses, strict=True)])
    scores = np.array([best.score(n) for n in table.sizes])
    loss_noise = _deviation(np.log(table.losses / losses), 3 if table.one_d else 4)
    score_noise = np.maximum(_deviation(table.scores - scores, 4), table.deviations)
    rng = np.random.default_rng(seed)
    drawn = []
    for _ in range(replicates):
        other_losses = losses * np.exp(loss_noise * rng.standard_normal(len(losses)))
        other_scores = scores + score_noise * rng.standard_normal(len(scores))
        drawn.append(table.curve(other_losses, np.clip(other_scores, 0.0, 1.0)))
    return Reference(best, tuple(drawn), tuple(sorted(members, key=lambda m: m.parameters)))


@dataclass(frozen=True, slots=True)
class _Table:
    """A family as arrays: of the members with a loss, if any, and of those with a score too."""

    of_losses: tuple[Floats, Floats]  # sizes and tokens, [n] each
    losses: Floats  # [n]
    of_scores: list[int]  # where among those the members with a score stand; empty without losses
    sizes: Floats  # [m], of the members with a score, smallest first
    scores: Floats  # [m]
    deviations: Floats  # [m], standard deviations as their intervals say
    d0: float

    @property
    def one_d(self) -> bool:
        return len(set(self.of_losses[1])) < 2

    def curve(self, losses: Floats, scores: Floats) -> Curve:
        """Fitted to these losses and scores of the members."""
        law: LossLaw | LogSize = LogSize()
        x = -np.log(self.sizes)
        if len(losses):
            law, x = fit_loss_law(*self.of_losses, losses), losses[self.of_scores]
        ends = float(self.sizes[0]), float(self.sizes[-1])
        return Curve(law, fit_score_law(x, scores), self.d0, *ends)


def _table(members: Sequence[Member], tokens: float | None) -> _Table:
    """Raises NoCurve, see `fit_reference`."""
    members = sorted(members, key=lambda m: m.parameters)
    lossy = [m for m in members if m.loss is not None]
    scored = [(m, m.score) for m in lossy or members if m.score is not None]
    if len({m.parameters for m, _ in scored}) < FEWEST_SIZES:
        raise NoCurve(
            f"{len({m.parameters for m, _ in scored})} sizes with a score"
            f"{' and a loss' if lossy else ''}, and a curve needs at least {FEWEST_SIZES}"
        )
    if lossy and len({m.loss for m in lossy}) == 1:
        raise NoCurve("all its losses are the same: leave them out to fit scores over size")
    d0 = _common_tokens(lossy or members, tokens)
    first, last = scored[0][1], scored[-1][1]
    vague = np.hypot(first.high - first.value, last.value - last.low)
    if last.value - first.value <= max(1e-9, vague):
        raise NoCurve("its largest member scores no better than its smallest, within intervals")
    return _Table(
        of_losses=(
            np.array([m.parameters for m in lossy], float),
            np.array([m.tokens or d0 for m in lossy], float),
        ),
        losses=np.array([m.loss for m in lossy], float),
        of_scores=[lossy.index(m) for m, _ in scored] if lossy else [],
        sizes=np.array([m.parameters for m, _ in scored], float),
        scores=np.array([score.value for _, score in scored]),
        deviations=np.array([(score.high - score.low) / (2 * NORMAL) for _, score in scored]),
        d0=d0,
    )


def _common_tokens(members: Sequence[Member], tokens: float | None) -> float:
    """D0. Raises NoCurve where it is not known, or outside of what the members were trained on."""
    found = {m.tokens for m in members if m.tokens is not None}
    if tokens is None:
        if len(found) > 1:
            raise NoCurve(
                f"its members were trained on {min(found):,.0f} to {max(found):,.0f} tokens: say "
                "at how many the curve is wanted"
            )
        return found.pop() if found else 1.0
    if found and not min(found) <= tokens <= max(found):
        raise NoCurve(
            f"its members were trained on {min(found):,.0f} to {max(found):,.0f} tokens, which "
            f"says nothing about {tokens:,.0f}"
        )
    return tokens


def _deviation(residuals: Floats, n_parameters: int) -> float:
    """Standard deviation of the noise that a fit with so many parameters leaves these of."""
    if len(residuals) == 0:
        return 0.0
    return float(np.sqrt((residuals**2).sum() / max(1, len(residuals) - n_parameters)))


def fit_loss_law(sizes: Floats, tokens: Floats, losses: Floats) -> LossLaw:
    """Least squares of the relative error of L. Where all D are one, beta is 0 and b the floor.

    Args:
        sizes, tokens, losses: [n] each.

    Raises:
        NoCurve: a loss that is not positive.
    """
    if (losses <= 0).any():
        raise NoCurve(f"a loss of {losses.min():g}: losses are above 0")
    n0, d0 = (float(np.exp(np.log(x).mean())) for x in (sizes, tokens))
    n, d = np.log(sizes / n0), np.log(tokens / d0)

    def terms(exponents: Floats) -> tuple[Floats, Floats]:
        """Of L, relative to the losses: [m, n] each for exponents [m, 2]."""
        alpha, beta = exponents[:, :1], exponents[:, 1:]
        return np.exp(-alpha * n) / losses, np.exp(-beta * d) / losses

    def error(cells: Floats) -> Floats:
        return _two_coefficients(*terms(cells[0]), np.ones_like(losses), inf)[2][None]

    most_beta, points = (5.0, POINTS) if len(set(tokens)) > 1 else (0.0, 1)
    best = least(error, (1e-3, 0.0), (5.0, most_beta), (POINTS, points))
    a, b, _ = _two_coefficients(*terms(best), np.ones_like(losses), inf)
    alpha, beta = map(float, best[0])
    return LossLaw(float(a[0]) * n0**alpha, alpha, float(b[0]) * d0**beta, beta)


def fit_score_law(losses: Floats, scores: Floats) -> ScoreLaw:
    """Least squares of S, with c >= 0, d >= 0, c + d <= 1 and gamma < 0.

    Args:
        losses, scores: [n] each; not all losses are one.
    """
    low, span = float(losses.min()), float(np.ptp(losses))

    def terms(shape: Floats) -> tuple[Floats, Floats]:
        """[m, n] each; shape [m, 2]: ln of -gamma times the span, l in spans above the smallest."""
        x = np.exp(shape[:, :1]) * ((losses - low) / span - shape[:, 1:])
        share = 1 / (1 + np.exp(np.clip(x, -500, 500)))
        return share, np.ones_like(share)

    def error(cells: Floats) -> Floats:
        return _two_coefficients(*terms(cells[0]), scores, 1.0)[2][None]

    best = least(error, (np.log(0.1), -5.0), (np.log(100.0), 6.0), (POINTS, POINTS))
    c, d, _ = _two_coefficients(*terms(best), scores, 1.0)
    steepness, middle = map(float, best[0])
    return ScoreLaw(float(c[0]), -float(np.exp(steepness)) / span, low + middle * span, float(d[0]))


def _two_coefficients(
    x: Floats, y: Floats, target: Floats, most: float
) -> tuple[Floats, Floats, Floats]:
    """Least squares of target = p x + q y with p >= 0, q >= 0, p + q <= most, for m pairs (x, y).

    The squares are convex in p and q: their least lies inside, or else on an edge.

    Args:
        x, y: [m, n]. target: [n].

    Returns:
        p, q and the sum of squares, [m] each.
    """
    xx, xy, yy = (x * x).sum(1), (x * y).sum(1), (y * y).sum(1)
    xt, yt = (x * target).sum(1), (y * target).sum(1)
    tiny = np.finfo(float).tiny
    determinant = xx * yy - xy * xy
    safe = np.where(determinant > 1e-12 * xx * yy, determinant, np.inf)
    p, q = (xt * yy - yt * xy) / safe, (yt * xx - xt * xy) / safe
    inside = (p >= 0) & (q >= 0) & (p + q <= most) & np.isfinite(safe)
    tried = [(np.where(inside, p, 0.0), np.where(inside, q, 0.0))]
    tried.append((np.clip(xt / np.maximum(xx, tiny), 0, most), np.zeros_like(xt)))
    tried.append((np.zeros_like(yt), np.clip(yt / np.maximum(yy, tiny), 0, most)))
    if most < inf:  # p + q = most: target - most y = p (x - y)
        along = ((x - y) * (target - most * y)).sum(1) / np.maximum(((x - y) ** 2).sum(1), tiny)
        along = np.clip(along, 0, most)
        tried.append((along, most - along))
    ps, qs = np.array([p for p, _ in tried]), np.array([q for _, q in tried])  # [edges, m]
    errors = ((ps[..., None] * x + qs[..., None] * y - target) ** 2).sum(-1)
    best, rows = errors.argmin(0), np.arange(len(xx))
    return ps[best, rows], qs[best, rows], errors[best, rows]


def fit_line(x: Floats, y: Floats) -> tuple[float, float, float]:
    """Least squares of y = slope x + intercept.

    Returns:
        Slope, intercept, and half the width of the slope's 95 % interval (Student's t).

    Raises:
        ValueError: fewer than three points, or all at one x.
    """
    if len(x) < 3 or np.ptp(x) == 0:
        raise ValueError("a slope with an interval needs at least three points, not all at one x")
    centred = x - x.mean()
    slope = float((centred * y).sum() / (centred**2).sum())
    intercept = float(y.mean() - slope * x.mean())
    variance = ((y - slope * x - intercept) ** 2).sum() / (len(x) - 2)
    half = t_quantile(len(x) - 2) * np.sqrt(variance / (centred**2).sum())
    return slope, intercept, float(half)
