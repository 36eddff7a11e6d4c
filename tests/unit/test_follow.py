"""A run in the terminal, from files as they grow."""

import fcntl
import io
import json
import os
import signal
import sys

import pytest
from rich.console import Console

from rl.record import RunDirectory
from rl.report.follow import Follower, Tail, how_it_ended
from rl.report.frame import View, frame, sparkline
from rl.report.live import watch
from tests.report.runs import HOSTILE, evaluate, recipe, write_run, write_step


def drawn(view, width=100, height=30):
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=width, height=height, highlight=False)
    console.print(frame(view, width, height))
    return file.getvalue()


def view_of(path, steps=4):
    follower = Follower(path)
    follower.look()
    return View("one", steps, follower)


@pytest.mark.parametrize(
    ("numbers", "width", "bars"),
    [([0, 1], 8, "▁█"), ([0, 0, 1, 1], 2, "▁█"), ([0.5], 3, "▅"), ([0, 0.5, 1], 3, "▁▅█")],
)
def test_a_sparkline_is_the_means_of_what_its_bars_cover(numbers, width, bars):
    assert sparkline(numbers, width, 0.0, 1.0) == bars


def test_a_sparkline_of_equal_numbers_is_in_the_middle():
    assert sparkline([3.0, 3.0], 5, 3.0, 3.0) == "▅▅"


def test_lines_are_read_once_they_are_whole(tmp_path):
    file = tmp_path / "metrics.jsonl"
    tail = Tail(file)
    assert tail.rows() == (False, [])
    file.write_text('{"step": 1}\n{"st')
    assert tail.rows() == (True, [{"step": 1}])
    with file.open("a") as more:
        more.write('ep": 2}\n')
    assert tail.rows() == (False, [{"step": 2}])
    assert tail.rows() == (False, [])


def test_a_file_that_a_resumed_run_wrote_anew_is_read_from_its_beginning(tmp_path):
    path = write_run(tmp_path / "one", finished=False)
    follower = Follower(path)
    assert follower.look()
    assert [row["step"] for row in follower.metrics] == [1, 2, 3, 4]
    RunDirectory(path).rewind(2)
    assert follower.look()
    assert [row["step"] for row in follower.metrics] == [1, 2]
    assert {row["step"] for row in follower.answers} == {1, 2}
    assert not follower.look()


def test_of_a_long_file_of_answers_only_the_end_is_read(tmp_path):
    file = tmp_path / "samples.jsonl"
    file.write_text("".join(json.dumps({"n": n}) + "\n" for n in range(1000)))
    _, rows = Tail(file, last_bytes=100).rows()
    assert rows[-1] == {"n": 999}
    assert len(rows) < 12


def test_the_picture_has_the_curves_the_verdicts_an_answer_and_the_keys(tmp_path):
    text = drawn(view_of(write_run(tmp_path / "one")))
    for part in (
        "step 4/4", "Reward", "Held out, avg@k", "80.0% [75.0%, 85.0%]", "Idle time, servers",
        "25.0%", "correct", "prompt", "reason", "q leave",
    ):  # fmt: skip
        assert part in text, part
    assert len(text.splitlines()) <= 30


@pytest.mark.parametrize(("width", "height"), [(40, 12), (80, 24), (200, 60)])
def test_the_picture_fits_the_terminal(tmp_path, width, height):
    path = write_run(tmp_path / "one")
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, highlight=False)
    console.print(frame(view_of(path), width, height))
    assert max(map(len, file.getvalue().splitlines())) <= width


def test_what_a_policy_wrote_cannot_steer_the_terminal(tmp_path):
    path = write_run(tmp_path / "one", steps=1, groups=1, hostile=True)
    view = view_of(path)
    file = io.StringIO()
    console = Console(file=file, width=120, highlight=False)
    for _ in range(6):
        console.print(frame(view, 120, 40))
        view.press("j")
    assert "\x1b" not in file.getvalue()
    assert "\\x1b[2J" in file.getvalue()
    assert HOSTILE[0] in file.getvalue()


def test_keys_go_through_the_answers_and_the_verdicts(tmp_path):
    view = view_of(write_run(tmp_path / "one", steps=8))
    newest = view.answers()[0]
    view.press("j")
    assert view.answers()[view.back] != newest
    view.press("k")
    view.press("k")
    assert view.back == 0
    for _ in range(3):
        view.press("v")
    assert view.verdict == "wrong"
    assert {row["verdict"]["outcome"] for row in view.answers()} == {"wrong"}
    view.press("?")


def test_a_run_without_a_step_says_so(tmp_path):
    path = tmp_path / "one"
    path.mkdir()
    assert "no step is finished yet" in drawn(View("one", 4, Follower(path)))


def test_how_a_run_ended_is_told_from_its_files(tmp_path):
    path = write_run(tmp_path / "one", finished=False)
    directory = RunDirectory(path)
    assert how_it_ended(path) == "not started"
    session = {"began": 0.0, "policy_s": 1.0, "wall_s": None}
    directory.write_json("sessions.json", [session])
    assert how_it_ended(path).startswith("killed")
    with (path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert how_it_ended(path) is None
    directory.write_json("sessions.json", [session | {"wall_s": 5.0}])
    assert how_it_ended(path).startswith("ended before its last step")
    directory.write_json("summary.json", {})
    assert how_it_ended(path) == "complete"


def test_without_a_terminal_one_picture_is_printed(tmp_path):
    path = write_run(tmp_path / "one", finished=False)
    file = io.StringIO()
    assert watch(path, Console(file=file, width=100)) == 0
    assert "step 4/4" in file.getvalue()
    assert "\x1b" not in file.getvalue()


def start_watching(path):
    """In a terminal of its own; the process and our end of the terminal."""
    pid, terminal = os.forkpty()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-m", "rl", "watch", str(path)])
    return pid, terminal


def shown_until(terminal, wanted):
    """Everything that was shown up to and with the wanted text; the test's deadline bounds it."""
    text = ""
    while wanted not in text:
        try:
            text += os.read(terminal, 65536).decode("utf-8", "replace")
        except OSError:  # the process has closed its end
            break
    assert wanted in text
    return text


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_running_run_is_followed_to_its_end(tmp_path):
    path = write_run(tmp_path / "one", finished=False, steps=2)
    made, directory = recipe(3), RunDirectory(path)
    with (path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pid, terminal = start_watching(path)
        shown_until(terminal, "step 2/")
        write_step(directory, 3, made)
        shown_until(terminal, "step 3/")
        evaluate(directory, 3, 0.9)
        directory.write_json("summary.json", {})
        shown_until(terminal, "complete")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_ctrl_c_leaves_and_restores_the_terminal(tmp_path):
    path = write_run(tmp_path / "one", finished=False)
    with (path / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        pid, terminal = start_watching(path)
        shown_until(terminal, "step 4/4")
        os.kill(pid, signal.SIGINT)
        text = shown_until(terminal, "goes on")
    assert "\x1b[?1049l" in text, "back from the alternate screen"
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
