"""Wall time of whole training steps of `assay train`, against TRL's GRPOTrainer.

Both start from the same policy and train on the same tasks in the same order with the same batch,
loss, clip distances, optimiser, learning rate, rewards and one update per step; each has all cores.
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

from benchmarks.harness import (
    LONG,
    ROOT,
    SHORT,
    Result,
    Row,
    machine_load,
    recipe_of,
    run,
    scratch_directory,
    starting_policy,
    write_recipe,
)


def steps_short(repeats: int) -> Result:
    """The embedded recipe as it stands."""
    return _compare("steps-short", SHORT, warm_up=2, steps=10, aim=1.5, repeats=repeats)


def steps_long(repeats: int) -> Result:
    """Answers of very unequal length."""
    return _compare("steps-long", LONG, warm_up=1, steps=2, aim=3.0, repeats=repeats)


def _compare(
    name: str, path: Path, *, warm_up: int, steps: int, aim: float, repeats: int
) -> Result:
    """`steps` steps of each side, behind `warm_up` ones that do not count, `repeats` times."""
    overrides = [f"steps={warm_up + steps}"]
    result = Result(name)
    found: dict[str, list[dict[str, Any]]] = {"ours": [], "TRL": []}
    with scratch_directory() as scratch:
        recipe = recipe_of(path, *overrides)
        model = starting_policy(recipe, scratch)
        resolved = write_recipe(recipe, scratch)
        sides = {
            "ours": lambda where: ours(resolved, where),
            "TRL": lambda where: trl(resolved, model, warm_up + steps, where),
        }
        for index in range(repeats):
            for side in sorted(sides, reverse=index % 2 == 1):
                result.load.append(machine_load())
                where = scratch / f"{side}-{index}"
                where.mkdir()
                found[side] += sides[side](where)[warm_up:]
    seconds = {side: [step["seconds"] for step in rows] for side, rows in found.items()}
    what = f"whole step, {'short' if path == SHORT else 'long'} answers"
    result.rows.append(Row(what, "s", seconds["ours"], seconds["TRL"], False, aim))
    result.notes += [f"{name}: {side}: {describe(rows)}" for side, rows in found.items()]
    return result


def describe(steps: list[dict[str, Any]]) -> str:
    """What a side's steps sampled on average, and where their time went, as far as it is known."""
    keys = [key for key in steps[0] if key != "seconds"]
    mean = {key: statistics.mean(step[key] for step in steps) for key in keys}
    return ", ".join(f"{key} {value:,.3g}" if value < 100 else f"{key} {value:,.0f}"
                     for key, value in mean.items())  # fmt: skip


def ours(resolved: Path, where: Path) -> list[dict[str, Any]]:
    """A real run. A step lasts from the end of the one before, its record included, to its own."""
    run_dir = where / "run"
    command = [sys.executable, "-m", "rl", "train", str(resolved), f"run_dir={run_dir}"]
    run(command, where / "run.log")
    ends = step_ends(run_dir / "tensorboard")
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    found = []
    for row in rows:
        step = row["step"]
        # What came before the first step is not part of it, and the first is left out anyway.
        begin = ends.get(step - 1, ends[step])
        found.append(
            {
                "seconds": ends[step] - begin,
                "tokens": row["response_tokens"]["sum"],
                "longest": row["response_tokens"]["max"],
                "reward": row["reward"],
                **row["time"],
            }
        )
    return found


def step_ends(directory: Path) -> dict[int, float]:
    """When each step was recorded: the run's own clock of whole steps, everything included."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(directory))
    events.Reload()
    return {event.step: event.wall_time for event in events.Scalars("reward")}


def trl(resolved: Path, model: str, steps: int, where: Path) -> list[dict[str, Any]]:
    out = where / "steps.json"
    command = [sys.executable, "-m", "benchmarks.trl_steps", str(resolved), model, str(steps)]
    run([*command, str(out)], where / "trl.log", {"PYTHONPATH": str(ROOT)})
    return json.loads(out.read_text())
