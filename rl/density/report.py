"""What `assay density of` writes: density.json, plots, and what changed in sentences."""

from collections.abc import Sequence
from hashlib import sha256
from math import inf
from pathlib import Path
from typing import Any

from rl.density.density import Density, Quantity
from rl.density.fit import Reference
from rl.density.table import write_csv
from rl.plots import curve_svg, steps_svg
from rl.record import RunDirectory


def changes(found: Sequence[Density]) -> list[str]:
    """First against last evaluation of each run and kind of task, a sentence each."""
    by_run: dict[tuple[str, str], list[Density]] = {}
    for d in found:
        if d.scored.step is not None and d.scored.variant is None:
            by_run.setdefault((d.scored.name, d.scored.env), []).append(d)
    sentences = []
    for (name, env), own in by_run.items():
        before, after = own[0], own[-1]
        if before is after:
            continue
        ratio = after.density.over(before.density).quantity()
        where = f"{name}, {env}: step {after.scored.step} against step {before.scored.step}: "
        sentences.append(where + _change(ratio) + _in_use(before, after))
    return sentences


def _change(ratio: Quantity) -> str:
    if ratio.bound == "unknown":
        return "both densities are beyond the family's end, and cannot be compared"
    low = f"{ratio.low:.3g}" if ratio.low > 0 else "open"
    high = f"{ratio.high:.3g}" if ratio.high < inf else "open"
    least = f"{ratio.bound} " if ratio.bound else ""
    return f"{least}{ratio.value:.3g} times as dense (95 % interval {low} to {high})"


def _in_use(before: Density, after: Density) -> str:
    if before.scored.mean_tokens is None or after.scored.mean_tokens is None:
        return ""
    tokens = after.scored.mean_tokens / before.scored.mean_tokens
    text = f", with {tokens:.2f} times the tokens per answer"
    if before.in_use is None or after.in_use is None:
        return text
    ratio = after.in_use.over(before.in_use).quantity()
    if ratio.bound == "unknown":
        return text
    least = f"{ratio.bound} " if ratio.bound else ""
    return f"{text}: in use {least}{ratio.value:.3g} times as dense"


def report(
    table: Path,
    curves: dict[str, Reference],
    without: dict[str, str],
    found: Sequence[Density],
) -> dict[str, Any]:
    """density.json: the curves, every density, and what changed."""
    return {
        "reference": {
            "table": str(table),
            "sha256": sha256(table.read_bytes()).hexdigest(),
            "curves": {env: _curve_json(reference) for env, reference in curves.items()},
            "without": without,
        },
        "densities": [d.to_json() for d in found],
        "changes": changes(found),
    }


def _curve_json(reference: Reference) -> dict[str, Any]:
    curve = reference.curve
    law = curve.loss_law
    score_law = curve.score_law
    loss = {key: getattr(law, key) for key in ("a", "alpha", "b", "beta") if hasattr(law, key)}
    return {
        "tokens": curve.tokens,
        "parameters": [curve.smallest, curve.largest],
        "scores": [curve.score(curve.smallest), curve.score(curve.largest)],
        "loss_law": loss or None,
        "score_law": {key: getattr(score_law, key) for key in ("c", "gamma", "l", "d")},
        "members": [
            {"parameters": m.parameters, "loss": m.loss, "score": m.score and m.score._asdict()}
            for m in reference.members
        ],
    }


def write_report(
    where: Path, content: dict[str, Any], found: Sequence[Density], curves: dict[str, Reference]
) -> None:
    """Beside the scores: density.json, and of the first kind of task density-curve.svg, the family
    with the first and the last score; of a run density.svg too, over its steps. Beside a CSV file
    the names begin with its own, and there is a CSV file for `assay density trend`.
    """
    whole = where.is_dir()
    files = RunDirectory(where if whole else where.parent)
    name = "density" if whole else f"{where.stem}.density"
    files.write_json(f"{name}.json", content)
    env = found[0].scored.env
    of_env = [d for d in found if d.scored.env == env]
    shown = [of_env[0], of_env[-1]] if len(of_env) > 1 else of_env
    files.write_text(f"{name}-curve.svg", curve_svg(f"Reference family: {env}", curves[env], shown))
    steps: dict[str, list[Density]] = {}
    several = len({d.scored.name for d in found}) > 1
    for d in found:
        if d.scored.step is not None and d.scored.variant is None:
            line = f"{d.scored.name} {d.scored.env}" if several else d.scored.env
            steps.setdefault(line, []).append(d)
    if max(map(len, steps.values()), default=0) > 1:
        files.write_text(f"{name}.svg", steps_svg("Density over training", steps))
    if not whole:
        rows = [_cells(d) for d in found]
        write_csv(files.path / f"{name}.csv", ("name", "env", "date", "density", "bound"), rows)


def _cells(found: Density) -> tuple[Any, ...]:
    scored, quantity = found.scored, found.density.quantity()
    return scored.name, scored.env, scored.date, quantity.value, quantity.bound
