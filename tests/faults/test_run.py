"""Runs that cannot go on say which part failed and what to do, and leave no process."""

import json

import pytest

from tests.loop.runs import rows, train

pytestmark = pytest.mark.slow


def test_a_model_that_does_not_exist_is_one_sentence(tmp_path):
    done = train(tmp_path, "model=./nowhere")
    assert done.returncode == 1
    assert "model './nowhere' does not exist" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_dies_at_start_is_named_with_its_last_lines(tmp_path):
    done = train(tmp_path, "engine.extra_args={max-model-len: 99999999}")
    assert done.returncode == 1
    assert "server-0 ended while rollout servers are starting: exit code" in done.stderr
    assert "logs/server-0.log" in done.stderr
    assert "max_model_len" in done.stderr


def test_a_verifier_that_always_raises_stops_the_run_with_its_error(tmp_path):
    env = tmp_path / "raises.py"
    env.write_text(
        "from envs.arithmetic import Arithmetic\n"
        "class Raises(Arithmetic):\n"
        "    def verify(self, task, response):\n"
        "        raise KeyError('no such gold')\n"
    )
    run_dir = tmp_path / "run"
    done = train(run_dir, f"envs=[{{name: '{env}:Raises'}}]")
    assert done.returncode == 1
    assert "the verifier failed on 100% of the answers" in done.stderr
    assert "no such gold" in done.stderr
    assert all(s["reward"] is None for s in rows(run_dir, "samples.jsonl"))


def test_a_damaged_checkpoint_is_named_at_resume(tmp_path):
    assert train(tmp_path, "steps=2").returncode == 0
    (tmp_path / "summary.json").unlink()
    (weights,) = (tmp_path / "checkpoints" / "step-000002").glob("*.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    done = train(tmp_path, "steps=2")
    assert done.returncode == 1
    assert weights.name in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_run_in_the_same_directory_is_refused(tmp_path):
    import fcntl

    tmp_path.mkdir(exist_ok=True)
    with (tmp_path / ".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = train(tmp_path)
    assert done.returncode == 1
    assert "another run is going on in this directory" in done.stderr


def test_the_evaluation_of_a_checkpoint_gives_the_number_of_the_run(tmp_path):
    import subprocess
    import sys

    assert train(tmp_path / "run").returncode == 0
    done = subprocess.run(
        [sys.executable, "-m", "rl", "eval", str(tmp_path / "run"), f"run_dir={tmp_path / 'e'}"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    again = json.loads((tmp_path / "e" / "summary.json").read_text())
    after = rows(tmp_path / "run", "evals.jsonl")[-1]
    assert again["avg_at_k"] == after["avg_at_k"]
