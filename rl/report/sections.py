"""What other commands found about a run, as sentences and tables: its density, its forecast."""

from collections.abc import Sequence
from typing import Any

from rl.report.read import Row, RunFiles


def density_section(runs: Sequence[RunFiles]) -> Row:
    """What `assay density` wrote into the runs (density.json)."""
    sentences, lines = [], []
    for run in runs:
        if run.density is None:
            continue
        sentences += map(str, run.density.get("changes", []))
        lines += [_density_line(run, row) for row in run.density.get("densities", [])]
    missing = [run.name for run in runs if run.density is None]
    if missing:
        sentences.append(
            f"Left out for {', '.join(missing)}: `assay density` has not been run there."
        )
    head = ["run", "step", "tasks", "variant", "score", "effective parameters", "density", "in use"]
    table = {"head": head, "rows": lines} if lines else None
    return {"id": "density", "title": "Density", "sentences": sentences, "table": table}


def _density_line(run: RunFiles, row: Row) -> list[str]:
    step = row.get("step")
    return [
        run.name,
        "-" if step is None else str(step),
        str(row.get("env", "-")),
        str(row.get("variant") or "-"),
        interval(row.get("score"), ".3f"),
        interval(row.get("effective_parameters"), ",.0f"),
        interval(row.get("density"), ".3g"),
        interval(row.get("density_in_use"), ".3g"),
    ]


def forecast_section(runs: Sequence[RunFiles]) -> Row:
    """The last forecast that each run wrote down with its evaluations."""
    sentences, without = [], []
    for run in runs:
        found = [(row["step"], row["forecast"]) for row in run.evals if row.get("forecast")]
        if found:
            sentences.append(f"{run.name}, after step {found[-1][0]}: {_forecast(found[-1][1])}")
        else:
            without.append(run.name)
    if without:
        sentences.append(
            f"Left out for {', '.join(without)}: too few evaluations for a forecast are recorded."
        )
    return {"id": "forecast", "title": "Forecast", "sentences": sentences, "table": None}


def _forecast(forecast: Any) -> str:
    if not isinstance(forecast, dict):
        return str(forecast)
    parts = [f"{key.replace('_', ' ')} {interval(value, '.4g')}" for key, value in forecast.items()]
    return "; ".join(parts)


def interval(found: Any, spec: str) -> str:
    """A number, or an estimate as {"value", "low", "high"}, perhaps with a "bound" such as "at
    least"; "open" where an end of the interval is not known."""
    if found is None:
        return "-"
    if isinstance(found, dict):
        if found.get("value") is None:
            return "unknown"
        low, high = (
            "open" if found.get(end) is None else format(found[end], spec)
            for end in ("low", "high")
        )
        bound = f"{found['bound']} " if found.get("bound") else ""
        return f"{bound}{format(found['value'], spec)} [{low}, {high}]"
    return format(found, spec) if isinstance(found, int | float) else str(found)
