"""Costs are found again from the times that they made, and schedules compared with runs."""

import json
from pathlib import Path

import numpy as np
import pytest

from rl.cli import main
from rl.errors import UserError
from rl.recipe.config import Recipe
from rl.recipe.load import dump
from rl.simulator.calibrate import Fit, described, fit, non_negative_fit, read_run
from rl.simulator.lengths import Source, lognormal
from rl.simulator.rules import Setup
from rl.simulator.server import Costs
from rl.simulator.simulate import Report, simulate

TRUE = Costs(
    step_s=4e-3,
    answer_s=2e-4,
    request_s=3e-3,
    prefill_s=1e-5,
    learn_step_s=0.2,
    learn_token_s=3e-5,
    publish_s=0.1,
    pause_s=0.1,
)
SOURCE = lognormal(150, 1000, 1.0, group_size=4, prompt=20)


def recipe(**changes: object) -> Recipe:
    whole = {
        "model": "embedded",
        "envs": [{"name": "arithmetic"}],
        "steps": 12,
        "groups_per_step": 8,
        "group_size": 4,
        "engine": {"servers": 2, "max_num_seqs": 64},
        "learner": {"threads": 1},
        **changes,
    }
    return Recipe.model_validate(whole)


def write_run(path: Path, its: Recipe, source: Source = SOURCE) -> tuple[Path, Report]:
    """A run directory as rl/train.py writes it, with the times of a simulated run."""
    path.mkdir()
    (path / "recipe.yaml").write_text(dump(its))
    setup = Setup(its.steps, its.groups_per_step, its.engine.servers, its.engine.max_num_seqs,
                  its.max_staleness)  # fmt: skip
    report = simulate(source, setup, TRUE)
    busy, metrics, samples = 0.0, [], []
    for number, step in enumerate(report.steps, 1):
        whole = step.ended_s - step.begun_s
        learn_s = step.learned_s - step.learning_s
        idle = 1 - (step.servers_busy_s - busy) / whole / its.engine.servers
        busy = step.servers_busy_s
        metrics.append(
            {
                "step": number,
                "staleness_max": step.staleness_max,
                "staleness_mean": step.stale_answers / len(step.lengths),
                "response_tokens": {"sum": sum(step.lengths)},
                "time": {
                    "sample_s": step.learning_s - step.begun_s,
                    "learn_s": learn_s,
                    "publish_s": step.ended_s - step.learned_s,
                },
                "pace": {
                    "servers_idle_fraction": idle,
                    "learner_idle_fraction": 1 - learn_s / whole,
                },
            }
        )
        for g in range(its.groups_per_step):
            group = source((number - 1) * its.groups_per_step + g)
            samples += [
                {
                    "step": number,
                    "split": "train",
                    "id": f"train/{number}/{g}/{s}",
                    "prompt_tokens": group.prompt,
                    "response_tokens": length,
                    "trained": True,
                }
                for s, length in enumerate(group.answers)
            ]
    for name, rows in (("metrics.jsonl", metrics), ("samples.jsonl", samples)):
        (path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path, report


def test_costs_are_found_again_from_runs_with_many_and_with_few_places(tmp_path: Path) -> None:
    wide, _ = write_run(tmp_path / "wide", recipe())
    few, _ = write_run(
        tmp_path / "few", recipe(engine={"servers": 2, "max_num_seqs": 6}, group_size=4)
    )
    found = fit([read_run(wide), read_run(few)])
    assert found.steps == 22
    assert found.sample_error < 1e-6
    for name in ("step_s", "answer_s", "request_s", "prefill_s", "learn_step_s", "learn_token_s"):
        assert getattr(found.costs, name) == pytest.approx(getattr(TRUE, name), rel=1e-3), name


def test_a_synchronous_run_says_what_running_ahead_would_give(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    turns, _ = write_run(tmp_path / "turns", recipe())
    ahead, real = write_run(tmp_path / "ahead", recipe(max_staleness=2))
    assert main(["simulate", str(ahead), "--costs-of", str(turns)]) == 0
    shown = capsys.readouterr().out
    table = [line.split("|") for line in shown.splitlines() if line.startswith("| ")]
    rows = {cells[1].strip(): cells[2:4] for cells in table}
    measured, simulated = (float(x.replace(",", "")) for x in rows["tokens trained on per second"])
    assert measured == pytest.approx(real.after(1).tokens_per_s, rel=0.01)
    assert simulated == pytest.approx(measured, rel=0.02)
    measured, simulated = (float(x.strip(" %")) for x in rows["servers idle"])
    assert measured == pytest.approx(100 * real.after(1).servers_idle, abs=0.1)
    assert simulated == pytest.approx(measured, abs=2)
    assert main(["simulate", str(turns), "max_staleness=2"]) == 0
    assert "simulated with max_staleness=2" in capsys.readouterr().out


def test_every_cost_is_shown_with_what_it_is() -> None:
    costs = Costs(*range(1, len(Costs._fields) + 1))
    first, *lines = described(Fit(costs, 0.02, 0.13, 22)).splitlines()
    assert "costs in seconds that explain the times of 22 steps best" in first
    assert "off by 2% of a step's sampling and 13% of its learning" in first
    assert [line.split()[0] for line in lines] == list(Costs._fields)
    assert all(len(line.split()) > 3 for line in lines)
    assert "verify_s" not in described(Fit(costs._replace(verify_s=0.0), 0.02, 0.13, 22))


def test_costs_are_not_taken_from_a_run_that_was_ahead(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ahead, _ = write_run(tmp_path / "ahead", recipe(max_staleness=2))
    assert main(["simulate", str(ahead)]) == 1
    assert "max_staleness 2: costs can be told apart only in runs where" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["learner.lr=1", "max_stale=1"])
def test_a_key_that_the_schedule_does_not_know_is_refused(
    key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", str(tmp_path), key]) == 1
    assert f"'{key}' cannot be simulated; what can be: max_staleness, " in capsys.readouterr().err


def test_what_is_no_run_or_too_short_or_late_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run directory"):
        read_run(tmp_path)
    short, _ = write_run(tmp_path / "short", recipe(steps=3))
    with pytest.raises(UserError, match="3 steps; at least 5"):
        read_run(short)
    other = recipe(groups_per_step=7)
    enough, _ = write_run(tmp_path / "enough", recipe())
    (enough / "recipe.yaml").write_text(dump(other))
    with pytest.raises(UserError, match="step 1 was trained on 8 tasks, and groups_per_step is 7"):
        read_run(enough)
    late = recipe(max_staleness=1, rollout={"straggler_s": 1.0})
    with pytest.raises(UserError, match=r"rollout\.straggler_s"):
        read_run(write_run(tmp_path / "late", late)[0])


def test_a_cost_that_explains_nothing_is_nought() -> None:
    rng = np.random.default_rng(0)
    work = rng.uniform(1, 2, (30, 3))
    seconds = work @ np.array([2.0, 0.0, 1.0])
    assert non_negative_fit(work, seconds) == pytest.approx([2.0, 0.0, 1.0])


def test_times_that_fall_with_the_work_have_no_costs() -> None:
    work = np.array([[1.0, -1.0], [2.0, -2.0], [3.0, -3.0]])
    with pytest.raises(UserError, match="do not grow with what was done"):
        non_negative_fit(-work[:, :1], np.array([1.0, 2.0, 3.0]), always=0)
