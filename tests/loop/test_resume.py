"""A run that is killed and started again gives the numbers of one that was left alone."""

import json
import os
import signal

import pytest

from rl.children import processes_of
from tests.loop.runs import rows, start, train, until

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("undisturbed")
    done = train(run_dir)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == str(run_dir)
    return run_dir


def raw(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def test_a_run_directory_holds_everything(undisturbed):
    names = {path.name for path in undisturbed.iterdir()}
    assert names >= {
        "recipe.yaml", "versions.json", "metrics.jsonl", "samples.jsonl", "evals.jsonl",
        "summary.json", "logs", "checkpoints", "tensorboard",
    }  # fmt: skip
    assert [row["step"] for row in rows(undisturbed)] == [1, 2, 3, 4, 5]
    assert any(row["n_trained_tokens"] > 0 for row in rows(undisturbed))
    samples = rows(undisturbed, "samples.jsonl")
    assert len(samples) == 5 * 16 + 2 * 16
    trained = [s for s in samples if s["split"] == "train" and s["trained"]]
    assert all(s["advantage"] != 0 and s["skipped"] is None for s in trained)
    assert {tuple(span) for s in samples for span in s["versions"]} <= {
        (s["step"] - (s["split"] == "train"), 0, s["response_tokens"]) for s in samples
    }
    summary = json.loads((undisturbed / "summary.json").read_text())
    assert summary["before"]["avg_at_k"]["low"] <= summary["before"]["avg_at_k"]["value"]
    assert summary["time"]["wall_s"] > summary["time"]["learn_s"] > 0
    assert summary["versions"]["torch"]
    written = [row["time"] for row in raw(undisturbed)]
    for phase in ("checkpoint_s", "evaluate_s"):  # those after the last step are in no row
        assert summary["time"][phase] > sum(time.get(phase, 0) for time in written)
    phases = {key: s for key, s in summary["time"].items() if key not in ("wall_s", "policy_s")}
    assert sum(phases.values()) < summary["time"]["wall_s"]


def test_the_same_command_on_a_finished_run_shows_its_table_again(undisturbed):
    done = train(undisturbed)
    assert done.returncode == 0
    assert "before" in done.stdout
    assert "nothing was run now" in done.stdout
    assert len(rows(undisturbed)) == 5


def test_a_run_of_another_recipe_is_not_overwritten(undisturbed):
    done = train(undisturbed, "seed=9")
    assert done.returncode == 1
    assert "holds a run of another recipe (differing: seed)" in done.stderr


def test_the_same_seed_gives_the_same_run_bit_for_bit(undisturbed, tmp_path):
    assert train(tmp_path).returncode == 0
    assert rows(tmp_path) == rows(undisturbed)
    assert rows(tmp_path, "samples.jsonl") == rows(undisturbed, "samples.jsonl")


@pytest.mark.parametrize("killed_after", [0, 1, 3])
def test_kill_9_at_any_step_and_the_same_command_gives_the_same_metrics(
    undisturbed, tmp_path, killed_after
):
    process = start(tmp_path)
    try:
        if killed_after:
            until(lambda: len(rows(tmp_path)) >= killed_after, f"step {killed_after}")
        else:
            until(lambda: (tmp_path / "logs" / "rank-0.log").exists(), "the start of rank 0")
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    until(lambda: processes_of(tmp_path) == [], "the end of every process", 30)
    assert len(rows(tmp_path)) < 5
    done = train(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert rows(tmp_path) == rows(undisturbed)
    assert rows(tmp_path, "samples.jsonl") == rows(undisturbed, "samples.jsonl")
    assert rows(tmp_path, "evals.jsonl") == rows(undisturbed, "evals.jsonl")


def test_ctrl_c_finishes_the_step_saves_it_and_leaves_no_process(undisturbed, tmp_path):
    process = start(tmp_path)
    until(lambda: len(rows(tmp_path)) >= 1, "the first step")
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130, printed
    assert "the same command resumes it" in printed
    assert processes_of(tmp_path) == []
    done = train(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "resuming after step" in done.stdout
    assert rows(tmp_path) == rows(undisturbed)
    sessions = json.loads((tmp_path / "sessions.json").read_text())
    total = json.loads((tmp_path / "summary.json").read_text())["time"]["wall_s"]
    assert total == pytest.approx(sum(s["wall_s"] for s in sessions), abs=1e-3)
    assert len(sessions) == 2
