"""Small runs predict a large one; finished ones are found and not run again."""

import json
from pathlib import Path

import pytest

from rl.cli import main
from rl.evaluation.statistics import Estimate
from rl.hardware import find_hardware
from rl.launch import run_directory
from rl.plan import make_plan
from rl.recipe.config import Recipe
from rl.recipe.load import dump, load_recipe
from rl.scaling.plan import Outcome, Rung, predict

RECIPE = """\
model: embedded
embedded: {layers: 1, hidden: 32, heads: 1, kv_heads: 1, intermediate: 64, max_tokens: 96}
envs: [{name: arithmetic, digits: 1}]
steps: 10
rollout: {max_new_tokens: 32}
groups_per_step: 4
group_size: 4
"""
SIZES = (32, 64, 96, 128)


def rung(parameters: int, steps: int = 10) -> Rung:
    recipe = Recipe.model_validate(
        {"model": "embedded", "envs": [{"name": "arithmetic"}], "steps": steps}
    )
    return Rung([f"size={parameters}"], recipe, Path("nowhere"), parameters)


def outcome(after: float, before: float = 0.1, error: float = 0.0) -> Outcome:
    return Outcome(
        Estimate(before, before - error, before + error),
        Estimate(after, after - error, after + error),
    )


def test_scores_whose_odds_grow_with_size_are_continued():
    """Odds of 1, 2, 4 and 8 to 1 for sizes 1, 2, 4 and 8: 32 to 1 for size 32."""
    small = [rung(1000 * size) for size in (1, 2, 4, 8)]
    outcomes = [outcome(odds / (1 + odds)) for odds in (1, 2, 4, 8)]
    found = predict(small, outcomes, rung(32_000))
    assert found.score.value == pytest.approx(32 / 33, abs=1e-3)
    assert found.score.high - found.score.low < 0.01, "they lie on the curve, without error"


def test_an_error_of_measurement_is_in_the_prediction():
    small = [rung(1000 * size) for size in (1, 2, 4, 8)]
    outcomes = [outcome(odds / (1 + odds), error=0.02) for odds in (1, 2, 4, 8)]
    found = predict(small, outcomes, rung(32_000)).score
    assert found.low < 32 / 33 < found.high
    assert 0.005 < found.high - found.low < 0.2


def test_budgets_of_one_policy_start_at_its_score():
    """Gain over the start with odds 1/4, 1/2 and 1 to 1: at 4 times the last budget 4 to 1."""
    small = [rung(1000, steps) for steps in (10, 20, 40)]
    outcomes = [outcome(0.2 + 0.8 * odds / (1 + odds), before=0.2) for odds in (0.25, 0.5, 1)]
    found = predict(small, outcomes, rung(1000, 160))
    assert found.score.value == pytest.approx(0.2 + 0.8 * 4 / 5, abs=1e-3)


def test_from_five_runs_on_the_upper_end_is_fitted_too():
    small = [rung(1000 * 2**n) for n in range(6)]
    outcomes = [outcome(0.7 * odds / (1 + odds)) for odds in (0.25, 0.5, 1, 2, 4, 8)]
    found = predict(small, outcomes, rung(1000 * 2**10))
    assert found.score.value == pytest.approx(0.7 * 128 / 129, abs=5e-3)


@pytest.fixture
def ladder(tmp_path, monkeypatch):
    """A recipe, and finished runs of SIZES of it."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.yaml"
    path.write_text(RECIPE)
    hardware = find_hardware()
    for size in SIZES:
        recipe = load_recipe(path, [f"embedded.hidden={size}"], profile=hardware.kind)
        recipe = make_plan(recipe, hardware).recipe
        run = run_directory(path, recipe)
        run.mkdir(parents=True)
        (run / "recipe.yaml").write_text(dump(recipe))
        scores = {"avg_by_env": {}, "pass_k": 2, "pass_at_k": {"value": 1, "low": 1, "high": 1}}
        after = size / (size + 32)
        summary = {
            when: {"avg_at_k": {"value": x, "low": x - 0.01, "high": x + 0.01}, **scores}
            for when, x in (("before", 0.1), ("after", after))
        }
        (run / "summary.json").write_text(json.dumps({**summary, "samples": 8, "problems": 9}))
    return path


def plan(path, *words):
    rungs = [word for size in SIZES[:3] for word in ("--rung", f"embedded.hidden={size}")]
    return main(["scaling", "plan", str(path), *rungs, *words])


def test_a_plan_finds_finished_runs_predicts_and_checks(ladder, capsys):
    target = ["--target", f"embedded.hidden={SIZES[3]}"]
    assert plan(ladder, *target) == 0
    printed = capsys.readouterr().out
    assert printed.count("nothing was run now") == 3, "the target is not looked at"
    (file,) = ladder.parent.glob("runs/*/plan.json")
    stored = json.loads(file.read_text())
    assert len(stored["rungs"]) == 3
    assert stored["outcome"] is None
    assert 0.7 < stored["prediction"]["value"] < 0.9
    assert plan(ladder, *target, "--check") == 0
    checked = json.loads(file.read_text())
    assert checked["prediction"] == stored["prediction"]
    assert checked["outcome"]["value"] == pytest.approx(0.8)
    assert checked["error"] == pytest.approx(checked["prediction"]["value"] - 0.8)
    assert "became 0.800 [0.790, 0.810]" in capsys.readouterr().out
    assert ">became</text>" in file.with_name("plan.svg").read_text()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        ([], "--target: give what to predict"),
        (["--target", "embedded.hidden=48"], "are not above those of --rung 'embedded.hidden=96'"),
        (["--target", "run_dir=x"], "'run_dir=x': every run of a plan has a directory of its own"),
        (["--target", "steps=0"], "a run of no steps spends no compute"),
        (["--target", "model=Qwen/Qwen3-1.7B"], "'Qwen/Qwen3-1.7B' is not known"),
    ],
)
def test_what_cannot_be_planned_is_refused_before_anything_runs(ladder, capsys, words, what):
    assert plan(ladder, *words) == 1
    said = capsys.readouterr()
    assert what in said.err
    assert "small run" not in said.out


def test_a_plan_needs_one_recipe_and_three_small_runs(ladder, capsys):
    assert main(["scaling", "plan"]) == 1
    assert "takes one recipe, found 0" in capsys.readouterr().err
    two = ["--rung", "steps=10", "--rung", "steps=20", "--target", "steps=40"]
    assert main(["scaling", "plan", str(ladder), *two]) == 1
    assert "2 different sizes or budgets; at least 3" in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--at", "1e15"], ["--over", "seconds"], ["--after", "3"]])
def test_what_is_asked_of_curves_is_refused(ladder, capsys, option):
    assert plan(ladder, *option) == 1
    assert f"{option[0]} is for the curves of runs" in capsys.readouterr().err
