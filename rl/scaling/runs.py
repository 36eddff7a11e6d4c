"""The curve of a run: its held-out scores against the compute that it had spent by then.

Compute is counted in one of two units. `flop`: of the policy, for the tokens of its answers:
2 per parameter and token to sample it, 6 to learn from it (4 with adapters: most weights need no
gradient of their own); tokens of groups without signal are not learned from. Prompts, attention
over long contexts, the critic, frozen policies, recomputed activations and evaluations are left
out, and all experts are counted. It is the same on every machine. `seconds`: wall time of sampling,
learning and publishing; times your accelerators it is what a run costs.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from rl.errors import UserError
from rl.recipe.config import Recipe
from rl.recipe.load import read_resolved
from rl.record import RunDirectory
from rl.scaling.forecast import Point

Unit = Literal["flop", "seconds"]

SAMPLE_FLOP = 2  # per parameter and token
LEARN_FLOP = 6
LEARN_LORA_FLOP = 4
PHASES = ("sample_s", "learn_s", "publish_s")
RECENT = 20  # steps whose compute is what the steps to come will take


class Curve(NamedTuple):
    """A run's evaluations; `start` has compute 0 or, where early ones are left out, is step 0."""

    unit: Unit
    start: Point
    points: list[Point]  # later ones, in order
    compute_at_end: float  # expected after step `recipe.steps`


def read_curve(run_dir: Path, unit: Unit = "flop", after: int = 0) -> Curve:
    """The evaluations of a run directory, finished or not.

    Args:
        after: leave out evaluations up to this step, but for the one at the start. The published
            fits leave out the first epoch.

    Raises:
        UserError: this is no run directory, nothing was evaluated in it yet, or its policy's size
            is unknown.
    """
    if not (run_dir / "recipe.yaml").is_file():
        raise UserError(f"{run_dir} is no run directory: it holds no recipe.yaml")
    directory = RunDirectory(run_dir)
    recipe = read_resolved(run_dir / "recipe.yaml")
    evaluations = _rows(directory, "evals.jsonl")
    if not evaluations or evaluations[0]["step"] != 0:
        raise UserError(
            f"{run_dir} has no evaluation of its start in evals.jsonl: let the run go on to its "
            "first step"
        )
    try:
        parameters = directory.n_parameters() if unit == "flop" else 0
    except UserError as error:
        raise UserError(f"{error}: count compute in seconds with --over seconds") from error
    metrics = _rows(directory, "metrics.jsonl")
    spent = compute_by_step(metrics, recipe, unit, parameters)
    return curve(recipe, unit, evaluations, spent, after)


def curve(
    recipe: Recipe,
    unit: Unit,
    evaluations: Sequence[dict[str, Any]],
    spent: Sequence[float],
    after: int = 0,
) -> Curve:
    """Put a run's evaluations and its compute together.

    Args:
        evaluations: rows of evals.jsonl. spent: after step 0, 1, ..., see `compute_by_step`.
    """
    found = [
        Point(row["step"], spent[row["step"]], row["avg_at_k"]["value"])
        for row in evaluations
        if row["step"] < len(spent)
    ]
    later = [point for point in found if point.step > after]
    return Curve(unit, found[0], later, _at_end(spent, recipe.steps))


def compute_by_step(
    metrics: Sequence[dict[str, Any]], recipe: Recipe, unit: Unit, parameters: int
) -> list[float]:
    """Compute spent after step 0, 1, ...; `metrics`: rows of metrics.jsonl, from step 1 on."""
    learn = LEARN_FLOP if recipe.lora is None else LEARN_LORA_FLOP
    spent = [0.0]
    for row in metrics:
        if unit == "flop":
            tokens = SAMPLE_FLOP * row["response_tokens"]["sum"] + learn * row["n_trained_tokens"]
            step = float(parameters * tokens)
        else:
            step = sum(row["time"].get(phase, 0.0) for phase in PHASES)
        spent.append(spent[-1] + step)
    return spent


def _at_end(spent: Sequence[float], steps: int) -> float:
    """Compute after the last step, the steps to come taking as much as the last ones did."""
    done = len(spent) - 1
    if done == 0 or done >= steps:
        return spent[-1]
    recent = min(RECENT, done)
    return spent[-1] + (steps - done) * (spent[-1] - spent[-1 - recent]) / recent


def _rows(directory: RunDirectory, name: str) -> list[dict[str, Any]]:
    try:
        return directory.rows(name)
    except ValueError as error:
        raise UserError(f"{directory.path / name} cannot be read: {error}") from error
