"""From a run's files to what they say about more compute."""

import json
from pathlib import Path

import numpy as np
import pytest

from rl.cli import main
from rl.errors import UserError
from rl.evaluation.statistics import Estimate
from rl.recipe.config import Recipe
from rl.recipe.load import dump
from rl.scaling.curves import Sigmoid
from rl.scaling.during import forecast_of_last_step
from rl.scaling.forecast import Fit, Point, TooLittle, fit_curve, too_wide
from rl.scaling.runs import compute_by_step, read_curve

TRUE = Sigmoid(*(np.array([x]) for x in (0.4, 0.9, 10.0, 1.6)))


def points(compute, noise: float = 0.004, seed: int = 0) -> list[Point]:
    rng = np.random.default_rng(seed)
    scores = TRUE.at(np.array(compute)) + noise * rng.standard_normal(len(compute))
    pairs = zip(compute, scores, strict=True)
    return [Point(i, float(c), float(s)) for i, (c, s) in enumerate(pairs, 1)]


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    """60 curves of five points each gave 95 and 97 % for the asymptote, 95 % for the score at four
    times the compute. Of these 25, six or more would be outside once in 800 times."""
    held = {"asymptote": 0, "later": 0}
    for seed in range(25):
        rng = np.random.default_rng(1000 + seed)
        fit = fit_curve(0.4 + 0.01 * rng.standard_normal(), points(range(3, 31, 3), 0.01, seed))
        assert isinstance(fit, Fit)
        held["asymptote"] += fit.asymptote.low <= 0.9 <= fit.asymptote.high
        later = fit.at(120.0)
        held["later"] += later.low <= float(TRUE.at(120.0)[0]) <= later.high
    assert min(held.values()) >= 20


def test_the_same_points_give_the_same_intervals():
    first, second = (fit_curve(0.4, points(range(3, 31, 3))) for _ in range(2))
    assert isinstance(first, Fit)
    assert isinstance(second, Fit)
    assert first.at(100.0) == second.at(100.0)
    assert first.reaching(0.85) == second.reaching(0.85)


def test_four_points_are_too_little_curve():
    found = fit_curve(0.4, points([5, 10, 20, 40]))
    assert isinstance(found, TooLittle)
    assert "4 evaluations" in found.reason


def test_a_score_that_has_not_risen_says_nothing():
    rng = np.random.default_rng(0)
    flat = [Point(i, float(i), 0.4 + 0.01 * rng.standard_normal()) for i in range(1, 9)]
    found = fit_curve(0.4, flat)
    assert isinstance(found, TooLittle)
    assert "has not risen beyond its scatter" in found.reason


def test_a_curve_that_does_not_bend_yet_has_an_asymptote_too_wide_to_say():
    fit = fit_curve(0.4, points([1, 2, 3, 4, 5, 6], noise=0.01))
    assert isinstance(fit, Fit)
    assert too_wide(fit.asymptote)
    assert too_wide(fit.at(60.0))
    assert not too_wide(fit.at(7.0))


def test_a_score_near_the_end_of_the_curve_may_never_be_reached():
    fit = fit_curve(0.4, points(range(3, 31, 3)))
    assert isinstance(fit, Fit)
    assert fit.reaching(0.6).value == pytest.approx(float(TRUE.reaching(0.6)[0]), rel=0.1)
    assert fit.never_reaching(0.6) == 0
    assert fit.reaching(0.99).value == np.inf
    assert fit.never_reaching(0.99) > 0.9
    assert fit.reaching(0.3) == Estimate(0.0, 0.0, 0.0)


def recipe(**changes: object) -> Recipe:
    whole = {
        "model": "embedded",
        "envs": [{"name": "arithmetic"}],
        "steps": 60,
        "evaluation": {"every": 5},
        **changes,
    }
    return Recipe.model_validate(whole)


def step_rows(n: int) -> list[dict]:
    return [
        {
            "step": step,
            "response_tokens": {"sum": 1000},
            "n_trained_tokens": 500,
            "time": {"sample_s": 1.0, "learn_s": 0.5, "publish_s": 0.25, "evaluate_s": 100.0},
        }
        for step in range(1, n + 1)
    ]


def evaluation_rows(steps, seed: int = 0) -> list[dict]:
    """Scores of a run whose curve is TRUE with a unit of compute per step."""
    rng = np.random.default_rng(seed)
    noisy = TRUE.at(np.array(steps, dtype=float)) + 0.004 * rng.standard_normal(len(steps))
    return [
        {"step": step, "avg_at_k": {"value": float(x), "low": float(x) - 0.01,
                                    "high": float(x) + 0.01}}
        for step, x in zip(steps, noisy, strict=True)
    ]  # fmt: skip


def write_run(path: Path, steps: int = 40, its: Recipe | None = None, seed: int = 0) -> Path:
    path.mkdir()
    (path / "recipe.yaml").write_text(dump(its or recipe()))
    (path / "policy.json").write_text(json.dumps({"path": "p", "n_parameters": 10**6}))
    for name, rows in [
        ("metrics.jsonl", step_rows(steps)),
        ("evals.jsonl", evaluation_rows(range(0, steps + 1, 5), seed)),
    ]:
        (path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_compute_is_2_flop_per_parameter_and_sampled_token_and_6_per_trained_one():
    rows = step_rows(2)
    assert compute_by_step(rows, recipe(), "flop", 10) == [0, 50_000, 100_000]
    adapters = recipe(lora={"rank": 4})
    assert compute_by_step(rows, adapters, "flop", 10) == [0, 40_000, 80_000]


def test_seconds_are_those_of_the_steps_and_not_of_the_evaluations():
    assert compute_by_step(step_rows(2), recipe(), "seconds", 0) == [0, 1.75, 3.5]


def test_a_run_under_way_is_expected_to_go_on_as_it_does(tmp_path):
    curve = read_curve(write_run(tmp_path / "run"))
    assert curve.start.compute == 0
    assert [point.step for point in curve.points] == [5, 10, 15, 20, 25, 30, 35, 40]
    assert curve.points[-1].compute == pytest.approx(40 * 5e9)
    assert curve.compute_at_end == pytest.approx(60 * 5e9)


def test_the_first_epoch_can_be_left_out_but_not_the_start(tmp_path):
    curve = read_curve(write_run(tmp_path / "run"), after=10)
    assert curve.start.step == 0
    assert curve.points[0].step == 15


def test_the_command_prints_fit_and_forecasts_and_writes_them_down(tmp_path, capsys):
    run = write_run(tmp_path / "run")
    assert main(["scaling", str(run), "--at", "1e12", "--score", ".8", "--score", "0.99"]) == 0
    printed = capsys.readouterr().out
    assert "8 evaluations, steps 5 to 40, after 2e+11 FLOP" in printed
    assert "asymptote A    0.9" in printed
    assert "at 1e+12 FLOP: 0.8" in printed
    assert "score 0.8: reached at" in printed
    assert "score 0.99: not reached by this curve" in printed
    stored = json.loads((run / "scaling.json").read_text())
    (at,) = stored["score_at"]
    assert at["score"]["low"] < at["score"]["value"] < at["score"]["high"]
    assert stored["compute_for"][1]["compute"]["value"] is None
    assert abs(stored["sigmoid"]["asymptote"]["value"] - 0.9) < 0.02
    assert stored["sigmoid"]["midpoint"]["value"] == pytest.approx(10 * 5e9, rel=0.1)


def test_two_runs_of_one_curve_are_a_tie_and_others_are_not(tmp_path, capsys):
    first, second = (write_run(tmp_path / f"run{i}", seed=i) for i in range(2))
    assert main(["scaling", str(first), str(second), "--over", "seconds"]) == 0
    assert "are a tie (below 0.02)" in capsys.readouterr().out
    rows = [json.loads(line) for line in (second / "evals.jsonl").read_text().splitlines()]
    for row in rows:
        row["avg_at_k"]["value"] *= 0.8
    (second / "evals.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["scaling", str(first), str(second)]) == 0
    assert f"{first} ends 0.1" in capsys.readouterr().out


def test_too_little_curve_is_said_in_words(tmp_path, capsys):
    run = write_run(tmp_path / "run", steps=15)
    assert main(["scaling", str(run)]) == 1
    said = capsys.readouterr().out
    assert "too little curve to say anything: 3 evaluations" in said
    assert "train with evaluation.every=10" in said
    assert not (run / "scaling.json").exists()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--at", "-1"], "--at -1: compute must be a number above 0"),
        (["--at", "nan"], "--at nan: compute must be"),
        (["--after", "-1"], "--after -1: a step from 0 on"),
        (["--score", "80"], "--score 80: a score lies between 0 and 1"),
        (["--rung", "steps=1"], "--rung is for `assay scaling plan RECIPE`"),
        (["steps=1"], "'steps=1': runs are what they are"),
    ],
)
def test_what_cannot_be_asked_is_refused(tmp_path, capsys, words, what):
    assert main(["scaling", str(write_run(tmp_path / "run")), *words]) == 1
    assert what in capsys.readouterr().err


def test_what_is_no_run_or_has_no_curve_is_refused(tmp_path):
    with pytest.raises(UserError, match="is no run directory"):
        read_curve(tmp_path)
    run = write_run(tmp_path / "run")
    (run / "policy.json").write_text("{}")
    with pytest.raises(UserError, match=r"policy\.json does not say .* --over seconds"):
        read_curve(run)
    assert read_curve(run, "seconds").unit == "seconds"
    (run / "evals.jsonl").unlink()
    with pytest.raises(UserError, match="no evaluation of its start"):
        read_curve(run)


def test_a_run_forecasts_its_last_score_once_enough_of_the_curve_exists():
    its = recipe()

    def at(step: int):
        return forecast_of_last_step(
            its, evaluation_rows(range(0, step + 1, 5)), step_rows(step), 10**6
        )

    assert at(0) is None
    assert at(20) is None
    found = at(40)
    assert found is not None
    assert (found["step"], found["compute"]) == (60, pytest.approx(60 * 5e9))
    score = found["score"]
    assert score["low"] <= float(TRUE.at(60.0)[0]) <= score["high"]
    assert score["high"] - score["low"] < 0.05
    assert json.loads(json.dumps(found)) == found, "a row of evals.jsonl"
    assert at(60) is None, "it is known then"


def test_a_policy_whose_size_is_unknown_has_no_forecast():
    rows = evaluation_rows(range(0, 41, 5))
    assert forecast_of_last_step(recipe(), rows, step_rows(40), 0) is None
