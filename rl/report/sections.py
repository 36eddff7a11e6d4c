"""What other commands found about a run, as sentences and tables: its density, its forecast."""

from collections.abc import Iterator, Sequence
from typing import Any

from rl.evaluation.statistics import Estimate
from rl.report.read import Row, RunFiles, number_at, reading

HEAD = (
    "run", "step", "tasks", "variant", "score", "tokens per answer", "effective parameters",
    "density", "in use", "by bits",
)  # fmt: skip
ALL = "all"  # what rl/density calls the mixture of all kinds of task


def density_section(runs: Sequence[RunFiles]) -> Row:
    """What `assay density of` wrote into the runs (density.json)."""
    sentences, lines = [], []
    for run in runs:
        if run.density is None:
            continue
        with reading(run.path / "density.json", "work of `assay density of`"):
            sentences += [str(sentence) for sentence in run.density["changes"]]
            lines += [_density_line(run, row) for row in run.density["densities"]]
    missing = [run.name for run in runs if run.density is None]
    if missing:
        sentences.append(
            f"Left out for {', '.join(missing)}: `assay density of` has not been run there."
        )
    table = {"head": HEAD, "rows": lines} if lines else None
    return {"id": "density", "title": "Density", "sentences": sentences, "table": table}


def _density_line(run: RunFiles, row: Row) -> list[str]:
    step = row["step"]
    return [
        run.name,
        "-" if step is None else str(step),
        str(row["env"]),
        str(row["variant"] or "-"),
        interval(row["score"], ".3f"),
        interval(row["mean_tokens"], ".1f"),
        interval(row["effective_parameters"], ",.0f"),
        interval(row["density"], ".3g"),
        interval(row["density_in_use"], ".3g"),
        interval(row["density_by_bits"], ".3g"),
    ]


def known_densities(run: RunFiles) -> list[Row]:
    """Of all tasks together, by step; without those that are only known by a bound."""
    if run.density is None:
        return []
    with reading(run.path / "density.json", "work of `assay density of`"):
        rows = [
            {"step": int(row["step"])}
            | {key: row[key] for key in ("density", "density_in_use") if _is_known(row[key])}
            for row in run.density["densities"]
            if row["env"] == ALL and row["variant"] is None and row["step"] is not None
        ]
        return sorted(rows, key=lambda row: row["step"])


def _is_known(found: Row | None) -> bool:
    return found is not None and found["bound"] is None


def forecast_section(runs: Sequence[RunFiles]) -> Row:
    """What each run foresaw of its end, and what `assay scaling` wrote into it (scaling.json)."""
    sentences, without = [], []
    for run in runs:
        found = list(_forecasts(run))
        if found:
            sentences += [f"{run.name}: {sentence}" for sentence in found]
        else:
            without.append(run.name)
    if without:
        sentences.append(
            f"Left out for {', '.join(without)}: no forecast was made in training, which takes "
            "five evaluations, and none by `assay scaling`."
        )
    return {"id": "forecast", "title": "Forecast", "sentences": sentences, "table": None}


def _forecasts(run: RunFiles) -> Iterator[str]:
    last = last_forecast(run.evals)
    if last is not None:
        yield last
    if run.scaling is None:
        return
    with reading(run.path / "scaling.json", "work of `assay scaling`"):
        found = run.scaling["sigmoid"]
        unit = {"flop": "FLOP", "seconds": "s"}[run.scaling["unit"]]
        yield (
            f"`assay scaling`, from {len(run.scaling['points']) - 1} evaluations after the start: "
            f"asymptote {_score(found['asymptote'])}, half of the gain at "
            f"{interval(found['midpoint'], '.3g')} {unit}, exponent "
            f"{interval(found['exponent'], '.2f')}."
        )
        for at in run.scaling["score_at"]:
            score = _score(at["score"])
            yield f"at {interval(at['compute'], '.3g')} {unit} the score is forecast as {score}."
        for to in run.scaling["compute_for"]:
            score, found = interval(to["score"], "g"), to["compute"]
            if found["value"] is None:  # infinite
                yield f"a score of {score} is never reached by this curve."
            else:
                yield f"a score of {score} is forecast at {interval(found, '.3g')} {unit}."


def last_forecast(evals: Sequence[Row]) -> str | None:
    """The newest one that a run wrote down with its evaluations, as a sentence."""
    for row in reversed(evals):
        if number_at(row, "forecast.score.value") is None:
            continue
        with reading(f"the forecast after step {row['step']}", "work of a run"):
            forecast = row["forecast"]
            score, asymptote = _score(forecast["score"]), _score(forecast["asymptote"])
            return (
                f"after step {row['step']}, the score after step {int(forecast['step'])} is "
                f"forecast as {score}, and the asymptote as {asymptote}."
            )
    return None


def _score(found: Row) -> str:
    from rl.scaling.forecast import too_wide  # brings numpy, for those runs that have a forecast

    score = Estimate(*(float(found[key]) for key in ("value", "low", "high")))
    if too_wide(score):
        return f"no more than between {score.low:.3f} and {score.high:.3f}"
    return str(score)


def interval(found: Any, spec: str) -> str:
    """A number, or an estimate as {"value", "low", "high"}, perhaps with a "bound" such as "at
    least"; "open" where an end of the interval is not known."""
    if isinstance(found, dict):
        if found.get("value") is None:
            return "unknown"
        value, low, high = (
            "open" if found.get(key) is None else format(float(found[key]), spec)
            for key in ("value", "low", "high")
        )
        bound = f"{found['bound']} " if found.get("bound") else ""
        return f"{bound}{value} [{low}, {high}]"
    return "-" if found is None else format(float(found), spec)
