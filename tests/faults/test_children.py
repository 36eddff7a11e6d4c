"""Nothing that a run started outlives it, however it ended."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from rl.children import kill_run, memory_directory, processes_of, start, stop

# A child that starts a grandchild of its own session, as engine processes do.
PARENT = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
print("ready", flush=True)
time.sleep(600)
"""

SUPERVISOR = """
import sys, time
from pathlib import Path
from rl.children import start, start_guard
run_dir = Path(sys.argv[1])
guard = start_guard(run_dir)
child = start("child", [sys.executable, "-c", sys.argv[2]], run_dir=run_dir, environment={})
while "ready" not in child.log.read_text().splitlines():
    time.sleep(0.01)
print("up", flush=True)
time.sleep(600)
"""


def until(condition, what, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{what} did not happen within {seconds} s"
        time.sleep(0.02)


def child_with_grandchild(run_dir: Path):
    child = start("child", [sys.executable, "-c", PARENT], run_dir=run_dir, environment={})
    until(lambda: "ready" in child.log.read_text().splitlines(), "the child's start")
    assert len(processes_of(run_dir)) == 2
    return child


def test_stop_ends_children_and_what_they_started(tmp_path):
    child = child_with_grandchild(tmp_path)
    stop([child], run_dir=tmp_path)
    assert processes_of(tmp_path) == []
    assert child.returncode() == -signal.SIGTERM


def test_a_child_that_ignores_the_polite_request_is_killed(tmp_path):
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); "
    argv = [sys.executable, "-c", code + "time.sleep(600)"]
    child = start("deaf", argv, run_dir=tmp_path, environment={})
    until(lambda: "ready" in child.log.read_text().splitlines(), "the child's start")
    stop([child], run_dir=tmp_path, grace_s=0.2)
    assert child.returncode() == -signal.SIGKILL


@pytest.mark.parametrize("whole_group", [False, True])
def test_kill_9_of_the_supervisor_leaves_no_process_behind(tmp_path, whole_group):
    supervisor = subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, str(tmp_path), PARENT],
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert supervisor.stdout is not None
    assert supervisor.stdout.readline() == "up\n"
    memory_directory(tmp_path).mkdir()
    assert len(processes_of(tmp_path)) == 2
    (os.killpg if whole_group else os.kill)(supervisor.pid, signal.SIGKILL)
    supervisor.wait()
    until(lambda: processes_of(tmp_path) == [], "the end of every process")
    until(lambda: not memory_directory(tmp_path).exists(), "the end of the weights in memory")


def test_only_processes_of_the_same_run_are_killed(tmp_path):
    mine, other = tmp_path / "mine", tmp_path / "other"
    child = child_with_grandchild(other)
    kill_run(mine)
    assert child.returncode() is None
    stop([child], run_dir=other)


def test_a_dead_child_is_named_with_code_and_last_words(tmp_path):
    code = textwrap.dedent("""
        import sys
        for n in range(100): print("line", n)
        sys.exit("no more memory for this")
    """)
    argv = [sys.executable, "-c", code]
    child = start("server-3", argv, run_dir=tmp_path, environment={})
    child.process.wait(30)
    message = str(child.died("sampling step 4"))
    assert message.startswith("server-3 ended while sampling step 4: exit code 1.")
    assert "no more memory for this" in message
    assert "line 99" in message
    assert "line 50" not in message


def run_once(run_dir: Path, code: str):
    child = start("server-0", [sys.executable, "-c", code], run_dir=run_dir, environment={})
    child.process.wait(30)
    return child


def test_errors_of_an_earlier_run_in_the_same_log_are_not_shown_again(tmp_path):
    run_once(tmp_path, "print('ValueError: mended since')")
    second = run_once(tmp_path, "import sys; print('KeyError: new'); sys.exit(1)")
    assert "KeyError: new" in second.last_lines()
    assert "mended since" not in second.last_lines()
    assert "mended since" in second.log.read_text()


def test_of_many_errors_the_last_ones_are_shown(tmp_path):
    code = "for n in range(9): print(f'ValueError: number {n}')\nfor n in range(50): print('noise')"
    shown = run_once(tmp_path, code).last_lines()
    assert [n for n in range(9) if f"number {n}" in shown] == [6, 7, 8]


def test_a_process_that_said_nothing_is_said_to_have_said_nothing(tmp_path):
    assert "(it printed nothing)" in run_once(tmp_path, "pass").last_lines()


def test_death_by_signal_is_named(tmp_path):
    code = "import os; os.kill(os.getpid(), 9)"
    argv = [sys.executable, "-c", code]
    child = start("rank-0", argv, run_dir=tmp_path, environment={})
    child.process.wait(30)
    assert "signal SIGKILL" in str(child.died("learning"))
