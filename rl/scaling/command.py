"""`assay scaling RUN...`: what a run's curve says about more compute."""

import argparse
import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

from rl.errors import UserError
from rl.evaluation.statistics import Estimate
from rl.record import RunDirectory
from rl.scaling.forecast import TIE, WIDEST, Fit, TooLittle, compare, fit_curve, too_wide
from rl.scaling.runs import Curve, Unit, read_curve

FURTHER = (2, 10)  # times the compute of the run: forecast where nothing else is asked for
NOTHING_SAID = 1  # exit code where no run has curve enough
UNITS: dict[Unit, str] = {"flop": "FLOP", "seconds": "s"}


def scaling(arguments: argparse.Namespace) -> int:
    """Print the fits and forecasts of runs, and write each to scaling.json in its directory.

    Raises:
        UserError: see `read_curve`; or an option that cannot be.
    """
    if arguments.words[0] == "plan":
        from rl.scaling.plan import plan_command

        return plan_command(arguments)
    changes = [word for word in arguments.words if "=" in word and not Path(word).exists()]
    if changes := [*changes, *arguments.overrides]:
        raise UserError(
            f"'{changes[0]}': runs are what they are; overrides are for `assay scaling plan RECIPE`"
        )
    for option in ("rung", "target", "check"):
        if getattr(arguments, option):
            raise UserError(f"--{option} is for `assay scaling plan RECIPE`, and these are runs")
    _check(arguments.at, arguments.score, arguments.after)
    runs = [Path(word) for word in arguments.words]
    curves = [read_curve(run, arguments.over, arguments.after) for run in runs]
    fits = [fit_curve(curve.start.score, curve.points) for curve in curves]
    for run, curve, fit in zip(runs, curves, fits, strict=True):
        at = arguments.at or _usual(curve)
        print("\n".join([str(run), *described(curve, fit, at, arguments.score), ""]))
        if isinstance(fit, Fit):
            row = to_json(curve, fit, at, arguments.score)
            RunDirectory(run).write_json("scaling.json", row)
    named = {str(r): f for r, f in zip(runs, fits, strict=True) if isinstance(f, Fit)}
    for first, second in combinations(named, 2):
        print(compared((first, named[first]), (second, named[second])))
    return 0 if named else NOTHING_SAID


def _check(at: Sequence[float], scores: Sequence[float], after: int) -> None:
    if after < 0:
        raise UserError(f"--after {after}: a step from 0 on, up to which evaluations are left out")
    for compute in at:
        if not (math.isfinite(compute) and compute > 0):
            raise UserError(f"--at {compute:g}: compute must be a number above 0, such as 1e15")
    for score in scores:
        if not 0 <= score <= 1:
            raise UserError(f"--score {score:g}: a score lies between 0 and 1, such as .9")


def _usual(curve: Curve) -> list[float]:
    """The end of a run that is under way, and beyond."""
    spent = curve.points[-1].compute if curve.points else 0.0
    end = curve.compute_at_end
    return [*([end] if end > spent else []), *(times * end for times in FURTHER)]


def described(
    curve: Curve, fit: Fit | TooLittle, at: Sequence[float], scores: Sequence[float]
) -> Iterator[str]:
    """Lines for people. Every figure comes with its 95 % interval."""
    if isinstance(fit, TooLittle):
        yield f"  too little curve to say anything: {fit.reason}"
        yield "  train with evaluation.every=10 or so, and for longer where the score still rises"
        return
    unit = UNITS[curve.unit]
    yield (
        f"  {len(fit.points)} evaluations, steps {fit.points[0].step} to {fit.points[-1].step}, "
        f"after {fit.points[-1].compute:.3g} {unit}; score at the start {fit.start:.3f}"
    )
    yield f"  asymptote A    {fit.asymptote}" + _unknown(fit.asymptote)
    yield f"  midpoint Cmid  {_compute(fit.midpoint, unit)}"
    exponent = fit.exponent
    yield f"  exponent B     {exponent.value:.2f} [{exponent.low:.2f}, {exponent.high:.2f}]"
    law = fit.power_law
    yield (
        f"  off by {fit.scatter:.4f} (standard deviation); a power law, by "
        f"{fit.scatter_power_law:.4f}, with asymptote {float(law.asymptote[0]):.3f}"
    )
    for compute in at:
        found = fit.at(compute)
        other = float(law.at(compute)[0])
        yield f"  at {compute:.3g} {unit}: {_score(found)}; the power law says {other:.3f}"
    for score in scores:
        yield f"  score {score:g}: {_reached(fit, score, unit)}"


def _unknown(asymptote: Estimate) -> str:
    return ": the curve does not bend enough yet to know it" if too_wide(asymptote) else ""


def _score(found: Estimate) -> str:
    if too_wide(found):
        return (
            f"too little curve to say more than {found.low:.3f} to {found.high:.3f} "
            f"(wider than {WIDEST:g})"
        )
    return str(found)


def _reached(fit: Fit, score: float, unit: str) -> str:
    found, never = fit.reaching(score), fit.never_reaching(score)
    if found.value == 0:
        return "reached at the start"
    if math.isinf(found.value):
        return f"not reached by this curve, which ends at {fit.asymptote}"
    doubt = f"; {never:.0%} of the refits end below it" if never else ""
    return f"reached at {_compute(found, unit)}{doubt}"


def _compute(found: Estimate, unit: str) -> str:
    high = "never" if math.isinf(found.high) else f"{found.high:.3g}"
    return f"{found.value:.3g} [{found.low:.3g}, {high}] {unit}"


def compared(one: tuple[str, Fit], other: tuple[str, Fit]) -> str:
    """Which of two runs ends higher; where that is a tie, which gets there faster.

    As published (appendix A.5): of two asymptotes nearer than TIE, neither is the better, and the
    exponents are compared after both curves were fitted again with the mean of the two.
    """
    (first, a), (second, b) = one, other
    found = compare(a, b)
    gap = found.asymptote.value
    higher, lower = (first, second) if gap > 0 else (second, first)
    if abs(gap) >= TIE:
        ends = f"{higher} ends {_by(found.asymptote, '.3f')} above {lower}"
        return ends if _is_known(found.asymptote) else f"{ends}, so which ends higher is not known"
    steeper, flatter = (first, second) if found.exponent.value > 0 else (second, first)
    which = (
        f"{steeper} gets more out of compute than {flatter}"
        if _is_known(found.exponent)
        else "which gets more out of compute is not known"
    )
    return (
        f"{first} and {second}: asymptotes {abs(gap):.3f} apart are a tie (below {TIE:g}); with "
        f"one for both, exponents are {_by(found.exponent, '.2f')} apart: {which}"
    )


def _is_known(difference: Estimate) -> bool:
    """Whether a difference has the same sign in all of its interval."""
    return difference.low > 0 or difference.high < 0


def _by(difference: Estimate, form: str) -> str:
    """The size of a difference, as one that is above 0."""
    value, *ends = difference if difference.value > 0 else [-x for x in difference]
    return f"{value:{form}} [{min(ends):{form}}, {max(ends):{form}}]"


def to_json(
    curve: Curve, fit: Fit, at: Sequence[float], scores: Sequence[float]
) -> dict[str, object]:
    """What scaling.json holds; an infinite bound is null."""
    law = fit.power_law
    return {
        "unit": curve.unit,
        "points": [point._asdict() for point in (curve.start, *fit.points)],
        "sigmoid": {
            "start": fit.start,
            "asymptote": fit.asymptote._asdict(),
            "midpoint": fit.midpoint._asdict(),
            "exponent": fit.exponent._asdict(),
            "scatter": fit.scatter,
        },
        "power_law": {
            "asymptote": float(law.asymptote[0]),
            "gap": float(law.gap[0]),
            "exponent": float(law.exponent[0]),
            "unit": float(law.unit),
            "scatter": fit.scatter_power_law,
        },
        "score_at": [{"compute": c, "score": fit.at(c)._asdict()} for c in at],
        "compute_for": [{"score": s, "compute": fit.reaching(s)._asdict()} for s in scores],
    }
