"""`assay report RUN [RUN ...]`: what runs came to, as one HTML file."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rl.errors import UserError
from rl.evaluation.statistics import Estimate
from rl.progress import printable
from rl.report.curves import charts, values
from rl.report.follow import how_it_ended
from rl.report.page import page
from rl.report.read import Row, RunFiles, read_run, reading
from rl.report.samples import columns
from rl.report.sections import density_section, forecast_section


def report(paths: Sequence[Path], out: Path | None, most_answers: int) -> int:
    """Write the report of some runs, and print where it is.

    Args:
        out: file to write; None: report.html in the directory of the first run.
        most_answers: in the browser of answers, over all runs.

    Raises:
        UserError: a path is no run directory, a file of it is damaged, or nothing can be written.
    """
    runs = _named([read_run(path) for path in paths])
    text = page(content(runs, most_answers))
    file = out or paths[0] / "report.html"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"{file}: cannot write ({error.strerror}): choose another file with --out FILE"
        ) from error
    print(printable(str(file)))
    return 0


def content(runs: Sequence[RunFiles], most_answers: int) -> Row:
    """What the page shows, as assets/main.js reads it."""
    drawn, absent = charts(runs)
    return {
        "runs": [summary(run) for run in runs],
        "charts": drawn,
        "absent": f"Not recorded here, and left out: {', '.join(absent)}." if absent else None,
        "sections": [density_section(runs), forecast_section(runs)],
        "samples": columns(runs, most_answers),
    }


def _named(runs: list[RunFiles]) -> list[RunFiles]:
    """Runs of the same name in different folders get as much of their path as tells them apart."""
    names = [run.name for run in runs]
    if len({run.path.resolve() for run in runs}) < len(runs):
        raise UserError("a run is named twice: name each once")
    if len(set(names)) == len(names):
        return runs
    return [replace(run, name=str(run.path)) if names.count(run.name) > 1 else run for run in runs]


def summary(run: RunFiles) -> Row:
    """A run's column in the table at the top; null where it is not known."""
    with reading(run.path, "directory of a run"):
        recipe = run.recipe
        return {
            "name": run.name,
            "step": run.metrics[-1]["step"] if run.metrics else 0,
            "steps": run.steps,
            "state": how_it_ended(run.path) or "under way",
            "model": _text(recipe.get("model")),
            "algorithm": _text(recipe.get("algorithm", {}).get("preset")),
            "envs": sorted({_text(spec.get("name")) for spec in recipe.get("envs", [])}),
            "before": _estimate(run, 0),
            "after": _estimate(run, -1) if len(run.evals) > 1 else None,
            "sampled_tokens": int(sum(values(run.metrics, "response_tokens.sum"))),
            "wall": _wall(run),
        }


def _text(value: object) -> str:
    """Only what is one: YAML can make a few lines into terabytes."""
    return value if isinstance(value, str) else "?"


def _estimate(run: RunFiles, index: int) -> str | None:
    if not run.evals:
        return None
    with reading(run.path / "evals.jsonl", "list of evaluations"):
        row = run.evals[index]
        value, low, high = (float(row["avg_at_k"][key]) for key in ("value", "low", "high"))
        return f"avg@{row['samples']} {Estimate(value, low, high)} after step {row['step']}"


def _wall(run: RunFiles) -> str | None:
    seconds = [session.get("wall_s") for session in run.sessions]
    known = [float(x) for x in seconds if x is not None]
    return f"{sum(known) / 60:,.1f} min" if known else None
