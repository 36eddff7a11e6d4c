"""Which figures of a run are shown as curves, and the numbers behind each chart."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from rl.report.read import Row, RunFiles, number_at
from rl.report.sections import known_densities
from verifiers.verdict import Outcome

Source = Literal["metrics", "evals", "densities"]  # which rows of a run

MOST_POINTS = 1000  # of a chart: more than it has pixels


class Line(NamedTuple):
    label: str
    path: str  # in a row, dotted
    band: str | None = None  # where `low` and `high` of its 95 % interval are


@dataclass(frozen=True, slots=True)
class Curve:
    """A chart: one line of each kind for every run."""

    id: str
    title: str
    what: str
    lines: tuple[Line, ...]
    source: Source = "metrics"
    share: bool = False  # of 1, shown in per cent


def _held_out(key: str, label: str) -> Line:
    return Line(label, f"{key}.value", key)


CURVES = (
    Curve("reward", "Reward", "mean over the step's answers", (Line("reward", "reward"),)),
    Curve(
        "held-out",
        "Held out",
        "score on tasks that are never trained on; bands are 95 % intervals",
        (_held_out("avg_at_k", "avg@k"), _held_out("pass_at_k", "pass@k")),
        source="evals",
        share=True,
    ),
    Curve(
        "foreseen",
        "Forecast",
        "held-out score after the last step, and the asymptote, as each evaluation foresaw them",
        (_held_out("forecast.score", "last step"), _held_out("forecast.asymptote", "asymptote")),
        source="evals",
        share=True,
    ),
    Curve(
        "length",
        "Length",
        "tokens per answer",
        (Line("mean", "response_tokens.mean"), Line("95th percentile", "response_tokens.p95")),
    ),
    Curve(
        "truncated",
        "Truncation",
        "share of the answers that ran out of tokens",
        (Line("truncated", "truncated_fraction"),),
        share=True,
    ),
    Curve(
        "signal",
        "Groups with signal",
        "share of the groups that say what was better",
        (Line("signal", "signal_fraction"),),
        share=True,
    ),
    Curve("entropy", "Entropy", "of the policy, nats per token", (Line("entropy", "entropy"),)),
    Curve(
        "mismatch",
        "KL, sampler to learner",
        "nats per token: how far apart the two are",
        (Line("KL", "mismatch_kl"),),
    ),
    Curve(
        "guides",
        "KL to the guides",
        "nats per token, to the reference and the teacher",
        (Line("reference", "reference_kl"), Line("teacher", "teacher_kl")),
    ),
    Curve(
        "idle",
        "Idle time",
        "share of the step in which nothing was computed",
        (
            Line("servers", "pace.servers_idle_fraction"),
            Line("learner", "pace.learner_idle_fraction"),
        ),
        share=True,
    ),
    Curve(
        "staleness",
        "Staleness",
        "updates between the weights that sampled and those that learn",
        (Line("mean", "staleness_mean"), Line("largest", "staleness_max")),
    ),
    Curve(
        "densities",
        "Density",
        "effective parameters over parameters, all tasks; known ones only, bounds are below",
        (_held_out("density", "density"), _held_out("density_in_use", "in use")),
        source="densities",
    ),
    Curve("critic", "Critic", "variance explained", (Line("critic", "critic.explained_variance"),)),
    Curve(
        "memory",
        "Memory",
        "GiB at the peak",
        (Line("learner", "memory.learner_gib"), Line("servers", "memory.servers_gib")),
    ),
)


def charts(runs: Sequence[RunFiles]) -> tuple[list[Row], list[str]]:
    """What charts.js draws, and the titles of those that no run has a number for."""
    drawn, absent = [], []
    for curve in CURVES:
        chart = _chart(curve, runs)
        if chart["lines"]:
            drawn.append(chart)
        else:
            absent.append(curve.title)
    drawn += [_verdicts(n, run, len(runs)) for n, run in enumerate(runs) if run.metrics]
    return drawn, absent


def _chart(curve: Curve, runs: Sequence[RunFiles]) -> Row:
    of_runs = [thinned(rows_of(run, curve.source)) for run in runs]
    steps = sorted({row["step"] for rows in of_runs for row in rows})
    lines = []
    for n, (run, rows) in enumerate(zip(runs, of_runs, strict=True)):
        by_step = {row["step"]: row for row in rows}
        aligned = [by_step.get(step, {}) for step in steps]
        for style, line in enumerate(curve.lines):
            found = [number_at(row, line.path) for row in aligned]
            if all(value is None for value in found):
                continue
            label = f"{run.name} {line.label}" if len(runs) > 1 else line.label
            drawn = {"label": label, "run": n, "style": style, "values": found}
            if line.band is not None:
                for end in ("low", "high"):
                    drawn[end] = [number_at(row, f"{line.band}.{end}") for row in aligned]
            lines.append(drawn)
    return {
        "id": curve.id,
        "title": curve.title,
        "what": curve.what,
        "format": "share" if curve.share else "number",
        "x": steps,
        "lines": lines,
    }


def rows_of(run: RunFiles, source: Source) -> Sequence[Row]:
    """What a curve of this source is drawn from."""
    match source:
        case "metrics":
            return run.metrics
        case "evals":
            return run.evals
        case "densities":
            return known_densities(run)


def _verdicts(n: int, run: RunFiles, of: int) -> Row:
    """A stack of shares, from the ground up in the order of `Outcome`."""
    rows = thinned(run.metrics)
    top = [0.0] * len(rows)
    lines = []
    for outcome in Outcome:
        values = [number_at(row, f"outcomes.{outcome}") or 0.0 for row in rows]
        top = [below + value for below, value in zip(top, values, strict=True)]
        if any(values):
            line = {"label": str(outcome), "run": n, "style": 0, "values": values, "top": top}
            lines.append(line)
    return {
        "id": f"verdicts-{n}",
        "title": f"Verdicts, {run.name}" if of > 1 else "Verdicts",
        "what": "share of the step's answers",
        "format": "share",
        "stacked": True,
        "x": [row["step"] for row in rows],
        "lines": lines,
    }


def thinned(rows: Sequence[Row]) -> list[Row]:
    """At most MOST_POINTS of them, evenly spaced, first and last among them."""
    if len(rows) <= MOST_POINTS:
        return list(rows)
    last = len(rows) - 1
    return [rows[round(i * last / (MOST_POINTS - 1))] for i in range(MOST_POINTS)]


def values(rows: Sequence[Row], path: str) -> list[float]:
    """What there is of a figure, in order."""
    found = (number_at(row, path) for row in rows)
    return [value for value in found if value is not None]
