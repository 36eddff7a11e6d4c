"""Runs that cannot go on say which part failed and what to do, and leave no process."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rl.children import processes_of
from tests.loop.runs import rows, start, train, until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def env_with(tmp_path, body):
    """An environment like arithmetic but for `body`, as an override of the recipe."""
    file = tmp_path / "mine.py"
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    file.write_text(
        f"import time\nfrom envs.arithmetic import Arithmetic\nclass Mine(Arithmetic):\n{lines}\n"
    )
    return f"envs=[{{name: '{file}:Mine'}}]"


def assay(cwd, *arguments):
    """Start `assay` in another folder, from which the recipe's own files are found too."""
    for folder in ("tests", "benchmarks"):
        if not (cwd / folder).is_symlink():
            (cwd / folder).symlink_to(ROOT / folder)
    return subprocess.Popen(
        [sys.executable, "-m", "rl", *arguments], cwd=cwd, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


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
    body = "def verify(self, task, response):\n    raise KeyError('no such gold')"
    done = train(tmp_path / "run", env_with(tmp_path, body))
    assert done.returncode == 1
    assert re.search(r"evaluation after step 0: the verifier failed on \d+ of the", done.stderr)
    assert "no such gold" in done.stderr
    assert rows(tmp_path / "run", "evals.jsonl") == []


@pytest.mark.parametrize(
    ("body", "limit"),
    [
        ("while True:\n        time.sleep(60)", "no verdict within 1 s"),
        ("hoard = []\n    while True:\n        hoard.append(bytes(1 << 24))", "MiB of memory"),
    ],
)
def test_a_verifier_that_hangs_or_eats_memory_stops_the_run_soon_and_is_named(
    tmp_path, body, limit
):
    begin = time.monotonic()
    done = train(
        tmp_path / "run",
        env_with(tmp_path, f"def verify(self, task, response):\n    {body}"),
        "verify.deadline_s=1", "verify.memory_mib=512", "evaluation.problems=64",
    )  # fmt: skip
    assert done.returncode == 1
    assert re.search(r"evaluation after step 0: the verifier failed on \d+ of the", done.stderr)
    assert "the verifier fails on the reference solution too" in done.stderr
    assert limit in done.stderr
    assert time.monotonic() - begin < 600, "an answer is judged in seconds"


def test_a_verifier_that_cannot_be_prepared_is_said_with_its_last_lines(tmp_path):
    body = "def prepare(self):\n    raise OSError('no tables here')"
    done = train(tmp_path / "run", env_with(tmp_path, body))
    assert done.returncode == 1
    assert done.stderr.startswith("error: attack ended while attacking")
    assert "the verifier worker for 'envs.registry:judge' did not" in done.stderr
    assert "no tables here" in done.stderr


def test_an_unforeseen_error_in_an_environment_is_shown_with_its_place(tmp_path):
    body = "def task(self, rng):\n    return {}['choices']"
    done = train(tmp_path / "run", env_with(tmp_path, body))
    assert done.returncode == 1
    assert done.stderr.startswith("error: attack ended while attacking")
    assert "it fails to draw or solve its own training task 0 of seed 0" in done.stderr
    assert "KeyError: 'choices'" in done.stderr
    assert "mine.py" in done.stderr


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


def test_ctrl_c_while_the_learner_starts_ends_the_run_at_once(tmp_path):
    process = start(tmp_path)
    until(lambda: (tmp_path / "logs" / "rank-0.log").exists(), "the start of rank 0")
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130, printed
    assert "interrupted; the same command resumes it" in printed
    assert "rank-0 ended" not in printed
    assert processes_of(tmp_path) == []


def test_ctrl_c_ends_doctor_with_a_sentence(tmp_path):
    process = assay(tmp_path, "doctor")
    assert process.stdout is not None
    while "making the starting policy" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130, printed
    assert printed.splitlines()[-1] == "interrupted: every process has ended"


def test_the_evaluation_of_a_checkpoint_gives_the_number_of_the_run_and_leaves_it_alone(tmp_path):
    run_dir = tmp_path / "run"
    assert train(run_dir).returncode == 0
    written = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}

    last = run_dir / "checkpoints" / "step-000005"
    process = assay(tmp_path, "eval", str(last), "--recipe", str(run_dir / "recipe.yaml"))
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    (found,) = (tmp_path / "runs").glob("eval-*")
    assert printed.splitlines()[-1] == str(found)
    again = json.loads((found / "step-000005" / "scores.json").read_text())
    assert again["all"]["avg_at_k"] == rows(run_dir, "evals.jsonl")[-1]["avg_at_k"]
    assert written == {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}

    process = assay(tmp_path, "eval", str(run_dir), f"run_dir={tmp_path / 'second'}")
    first = tmp_path / "second/run-step-000000"
    until(lambda: (first / "logs/rank-0.log").exists(), "the start of rank 0")
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=120)
    assert process.returncode == 130, printed
    assert printed.splitlines()[-1] == "interrupted: every process has ended"
    assert processes_of(first) == []
