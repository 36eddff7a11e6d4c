"""`assay scaling plan RECIPE`: run small sizes or budgets, predict a large one before it starts.

The final scores of the small runs are fitted against planned compute, parameters x answers, which
is known of a run before it starts. The curve is the sigmoid once more, from 0 to 1: the logit of
the score is then linear in the logarithm of compute, two parameters for few runs. From
FREE_CEILING runs on its upper end is fitted too; and where all runs start from one policy, it
starts at that policy's score.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.table import Table

from rl.errors import UserError
from rl.evaluation.statistics import NORMAL, Estimate
from rl.hardware import Hardware, find_hardware
from rl.launch import run_directory, train
from rl.plan import make_plan, n_parameters
from rl.plots import plan_svg
from rl.progress import print_table
from rl.recipe.config import Recipe
from rl.recipe.load import load_recipe
from rl.record import RunDirectory
from rl.scaling.arguments import OF_CURVES
from rl.scaling.curves import fit_power_law, fit_sigmoid
from rl.scaling.forecast import COPIES, estimate

PLAN, PICTURE = "plan.json", "plan.svg"
FEWEST = 3  # small runs: two parameters, and a scatter
FREE_CEILING = 5
DEVIATIONS = 2 * NORMAL  # standard deviations in the width of a 95 % interval


class Rung(NamedTuple):
    """One run of the ladder, small or to be predicted."""

    changes: list[str]  # what it overrides in the recipe
    recipe: Recipe
    run_dir: Path
    parameters: int

    @property
    def answers(self) -> int:
        return self.recipe.steps * self.recipe.groups_per_step * self.recipe.group_size

    @property
    def compute(self) -> float:
        """Planned: parameters x answers."""
        return float(self.parameters * self.answers)


class Outcome(NamedTuple):
    """What a run came to."""

    before: Estimate
    after: Estimate


class Prediction(NamedTuple):
    score: Estimate
    power_law: float  # for contrast


def plan_command(arguments: argparse.Namespace) -> int:
    """Run the rungs that have not been run, predict the targets, with --check run those too.

    Every run has the directory that `assay train` gives it, so finished ones are found and
    unfinished ones resumed. The prediction is written to plan.json in the target's directory
    before the target starts.

    Raises:
        UserError: what is asked for cannot be planned. And what `assay train` raises.
    """
    _, *words = arguments.words
    files = [word for word in words if "=" not in word]
    shared = [word for word in words if "=" in word] + arguments.overrides
    for option, default in OF_CURVES.items():
        if getattr(arguments, option) != default:
            raise UserError(
                f"--{option} is for the curves of runs: assay scaling RUN --{option} ...; `plan` "
                "predicts the score after the last step"
            )
    if len(files) != 1:
        raise UserError(
            f"assay scaling plan takes one recipe, found {len(files)}: "
            "assay scaling plan RECIPE [key=value ...] --rung 'key=value ...' --target 'key=value'"
        )
    path, hardware = Path(files[0]), find_hardware()
    rungs = [_rung(path, shared, text, hardware) for text in arguments.rung]
    targets = [_rung(path, shared, text, hardware) for text in arguments.target]
    rungs.sort(key=lambda rung: rung.compute)
    _check(rungs, targets)
    outcomes = []
    for number, rung in enumerate(rungs, 1):
        print(f"small run {number} of {len(rungs)}: {_named(rung)}", flush=True)
        if code := _train(path, shared, rung):
            return code
        outcomes.append(read_outcome(rung.run_dir))
    predictions = [predict(rungs, outcomes, target) for target in targets]
    for target, prediction in zip(targets, predictions, strict=True):
        _write(rungs, outcomes, target, prediction, None)
    print_table(_table(rungs, outcomes, targets, predictions))
    for target in targets:
        print(target.run_dir / PLAN, flush=True)
    for target, prediction in zip(targets, predictions, strict=True):
        if not arguments.check:
            continue
        print(f"target: {_named(target)}", flush=True)
        if code := _train(path, shared, target):
            return code
        outcome = read_outcome(target.run_dir)
        _write(rungs, outcomes, target, prediction, outcome)
        print(_checked(target, prediction, outcome), flush=True)
    return 0


def _rung(path: Path, shared: Sequence[str], text: str, hardware: Hardware) -> Rung:
    changes = text.split()
    for change in [*shared, *changes]:
        if change.partition("=")[0] == "run_dir":
            raise UserError(
                f"'{change}': every run of a plan has a directory of its own, named by its recipe; "
                "leave run_dir out"
            )
    recipe = load_recipe(path, [*shared, *changes], profile=hardware.kind)
    recipe = make_plan(recipe, hardware).recipe
    parameters = n_parameters(recipe)
    if parameters is None:
        raise UserError(
            f"'{text}': the size of model '{recipe.model}' is not known, since it is not on this "
            "machine: fetch it first and give its directory"
        )
    if not recipe.steps:
        raise UserError(f"'{text}': a run of no steps spends no compute: set steps above 0")
    return Rung(changes, recipe, run_directory(path, recipe), parameters)


def _check(rungs: Sequence[Rung], targets: Sequence[Rung]) -> None:
    if len({rung.compute for rung in rungs}) < FEWEST:
        raise UserError(
            f"--rung: {len({rung.compute for rung in rungs})} different sizes or budgets; at least "
            f"{FEWEST} small runs are needed to predict from"
        )
    if not targets:
        raise UserError("--target: give what to predict, such as --target 'steps=400'")
    largest = rungs[-1]
    for target in targets:
        if target.compute <= largest.compute:
            raise UserError(
                f"--target '{' '.join(target.changes)}': its {target.compute:.3g} parameters x "
                f"answers are not above those of --rung '{' '.join(largest.changes)}' "
                f"({largest.compute:.3g}): a target is larger than what it is predicted from"
            )


def _train(path: Path, shared: Sequence[str], rung: Rung) -> int:
    return train(path, [*shared, *rung.changes], dry_run=False)


def read_outcome(run_dir: Path) -> Outcome:
    """Scores of a finished run before and after."""
    summary = RunDirectory(run_dir).read_json("summary.json")
    return Outcome(*(Estimate(**summary[when]["avg_at_k"]) for when in ("before", "after")))


def predict(rungs: Sequence[Rung], outcomes: Sequence[Outcome], target: Rung) -> Prediction:
    """The target's final score from those of the small runs. They must be FEWEST or more.

    The interval comes from refits of the fitted curve with noise: as large as the runs scatter
    around it, drawn from its n - 2 (or n - 3) degrees of freedom, and each run's own error of
    measurement where that is larger.
    """
    compute = np.array([rung.compute for rung in rungs])
    scores = np.array([outcome.after.value for outcome in outcomes])
    free = len(rungs) >= FREE_CEILING
    one_policy = len({(rung.recipe.model, rung.parameters) for rung in rungs}) == 1
    floor = np.mean([outcome.before.value for outcome in outcomes]) if one_policy else 0.0
    ceiling = None if free else 1.0
    fit = fit_sigmoid(compute, scores[None], np.full(1, floor), ceiling)
    squares = float(((scores - fit.at(compute)) ** 2).sum())
    rng = np.random.default_rng(0)
    scatter = np.sqrt(squares / rng.chisquare(len(rungs) - (3 if free else 2), COPIES))
    errors = np.array([(x.after.high - x.after.low) / DEVIATIONS for x in outcomes])
    noise = np.maximum(scatter[:, None], errors) * rng.standard_normal((COPIES, len(rungs)))
    noisy = np.clip(fit.at(compute) + noise, 0.0, 1.0)
    copies = fit_sigmoid(compute, noisy, np.full(COPIES, floor), ceiling)
    law = fit_power_law(compute, scores[None])
    return Prediction(
        estimate(fit.at(target.compute), copies.at(target.compute)),
        float(law.at(target.compute)[0]),
    )


def _write(
    rungs: Sequence[Rung],
    outcomes: Sequence[Outcome],
    target: Rung,
    prediction: Prediction,
    outcome: Outcome | None,
) -> None:
    """plan.json and plan.svg of the target; its directory may hold nothing else yet."""
    target.run_dir.mkdir(parents=True, exist_ok=True)
    after = outcome and outcome.after
    directory = RunDirectory(target.run_dir)
    small = [(rung.compute, o.after) for rung, o in zip(rungs, outcomes, strict=True)]
    predicted = (target.compute, prediction.score)
    directory.write_text(PICTURE, plan_svg("From small to large", small, predicted, after))
    directory.write_json(
        PLAN,
        {
            "rungs": [
                _row(rung) | {"before": o.before._asdict(), "after": o.after._asdict()}
                for rung, o in zip(rungs, outcomes, strict=True)
            ],
            "target": _row(target),
            "prediction": prediction.score._asdict(),
            "power_law": prediction.power_law,
            "outcome": after and after._asdict(),
            "error": after and prediction.score.value - after.value,
        },
    )


def _row(rung: Rung) -> dict[str, Any]:
    return {
        "changes": rung.changes,
        "run_dir": str(rung.run_dir),
        "parameters": rung.parameters,
        "answers": rung.answers,
    }


def _named(rung: Rung) -> str:
    return f"{' '.join(rung.changes) or 'the recipe'} ({rung.parameters:,} parameters)"


def _table(
    rungs: Sequence[Rung],
    outcomes: Sequence[Outcome],
    targets: Sequence[Rung],
    predictions: Sequence[Prediction],
) -> Table:
    table = Table(title="Small to large, 95 % intervals")
    for column in ("parameters", "answers", "before", "after", "predicted", "power law"):
        table.add_column(column, justify="right")
    for rung, (before, after) in zip(rungs, outcomes, strict=True):
        table.add_row(f"{rung.parameters:,}", f"{rung.answers:,}", str(before), str(after))
    for target, found in zip(targets, predictions, strict=True):
        size, law = f"{target.parameters:,}", f"{found.power_law:.3f}"
        table.add_row(size, f"{target.answers:,}", "", "", str(found.score), law)
    return table


def _checked(target: Rung, prediction: Prediction, outcome: Outcome) -> str:
    off = prediction.score.value - outcome.after.value
    inside = prediction.score.low <= outcome.after.value <= prediction.score.high
    return (
        f"{target.parameters:,} parameters: predicted {prediction.score}, became {outcome.after}: "
        f"{abs(off):.3f} too {'high' if off > 0 else 'low'}, "
        f"{'inside' if inside else 'outside'} the interval; the power law was "
        f"{abs(prediction.power_law - outcome.after.value):.3f} off"
    )
