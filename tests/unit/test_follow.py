"""A run in the terminal, from files as they grow."""

import fcntl
import io
import json
import os
import signal
import sys

import pytest
from rich.console import Console

from rl.errors import UserError
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
    file.write_text("".join(json.dumps({"step": n}) + "\n" for n in range(1000)))
    _, rows = Tail(file, last_bytes=100).rows()
    assert rows[-1] == {"step": 999}
    assert len(rows) < 12


def test_where_the_end_is_the_middle_of_a_line_the_next_whole_one_is_read(tmp_path):
    file = tmp_path / "samples.jsonl"
    file.write_text('{"step": 1, "text": "' + 200 * "x")
    tail = Tail(file, last_bytes=100)
    assert tail.rows() == (True, [])
    with file.open("a") as more:
        more.write('x"}\n{"step": 2}\n')
    assert tail.rows() == (False, [{"step": 2}])


def test_the_picture_has_the_curves_the_verdicts_an_answer_and_the_keys(tmp_path):
    text = drawn(view_of(write_run(tmp_path / "one")))
    for part in (
        "step 4/4", "Reward", "Held out, avg@k", "80.0% [75.0%, 85.0%]", "Idle time, servers",
        "25.0%", "correct", "prompt", "q leave",
    ):  # fmt: skip
        assert part in text, part
    assert len(text.splitlines()) <= 30


@pytest.mark.parametrize(("width", "height"), [(40, 12), (80, 24), (200, 60)])
def test_the_picture_fits_the_terminal(tmp_path, width, height):
    path = write_run(tmp_path / "one")
    file = io.StringIO()
    console = Console(file=file, width=width, height=height, highlight=False)
    console.print(frame(view_of(path), width, height))
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert len(lines) <= height
    assert "Reward" in file.getvalue()
    assert "q leave" in lines[-1]
    assert "prompt" in file.getvalue(), "there is room for an answer"


def test_letters_of_two_cells_and_tabs_are_wrapped_and_not_lost(tmp_path):
    path = write_run(tmp_path / "one", steps=1, groups=1)
    view = view_of(path)
    view.run.answers[-1]["response"] = "\t" + "\u6f22" * 60 + "."
    text = drawn(view, width=50, height=40)
    assert text.count("\u6f22") == 60


def test_the_forecast_of_the_last_evaluation_is_shown(tmp_path):
    path = write_run(tmp_path / "one", finished=False)
    score = {"value": 0.95, "low": 0.9, "high": 0.97}
    wide = {"value": 0.95, "low": 0.5, "high": 1.0}
    forecast = {"step": 9, "compute": 1e12, "score": score, "asymptote": wide}
    RunDirectory(path).append(
        "evals.jsonl", [{"step": 4, "avg_at_k": score, "pass_at_k": score, "forecast": forecast}]
    )
    text = drawn(view_of(path), width=160)
    assert "the score after step 9 is forecast as 0.950 [0.900, 0.970]" in text
    assert "the asymptote as no more than between 0.500 and 1.000" in text
    assert "95.0% [90.0%, 97.0%]" in text


def test_files_that_are_no_run_s_are_refused_in_a_sentence(tmp_path):
    path = write_run(tmp_path / "one", finished=False)
    with (path / "samples.jsonl").open("a") as file:
        file.write('{"step": 5, "verdict": "?"}\n')
    with pytest.raises(UserError, match=r"samples.jsonl is no list of answers \("):
        view_of(path)


def test_answers_to_canaries_are_not_shown(tmp_path):
    path = write_run(tmp_path / "one", finished=False)
    last = json.loads((path / "samples.jsonl").read_text().splitlines()[-1])
    canary = last | {"id": "canary/0", "split": "canary", "response": "to a canary"}
    canary["tokens"] = None
    RunDirectory(path).append("samples.jsonl", [canary])
    view = view_of(path)
    assert view.answers()[0]["id"] == last["id"]
    assert "to a canary" not in drawn(view)


@pytest.mark.parametrize("reason", [None, "not 5"])
def test_the_reason_of_a_verdict_is_shown_where_there_is_one(tmp_path, reason):
    view = view_of(write_run(tmp_path / "one"))
    view.run.answers[-1]["detail"] = reason
    assert ("reason" in drawn(view)) == (reason is not None)


def test_what_a_policy_wrote_cannot_steer_the_terminal(tmp_path):
    path = write_run(tmp_path / "one", steps=1, groups=1, hostile=True)
    view = view_of(path)
    file = io.StringIO()
    console = Console(file=file, width=120, highlight=False)
    for _ in range(6):
        console.print(frame(view, 120, 40))
        view.press("j")
    assert not set(file.getvalue()) & set(map(chr, [*range(10), *range(11, 32), *range(127, 160)]))
    assert "\\x1b[2J" in file.getvalue()
    assert HOSTILE[0] in file.getvalue()


def test_keys_go_through_the_answers_and_the_verdicts(tmp_path):
    view = view_of(write_run(tmp_path / "one", steps=8))
    view.press("j")
    assert view.place == 1
    for _ in range(1000):
        view.press("j")
    assert view.place == len(view.answers()) - 1
    view.press("k")
    assert view.place == len(view.answers()) - 2
    view.press("n")
    view.press("k")
    assert view.place == 0
    for _ in range(3):
        view.press("v")
    assert view.verdict == "wrong"
    assert {row["outcome"] for row in view.answers()} == {"wrong"}
    view.press("?")


def test_the_answer_that_is_read_stays_while_newer_ones_come(tmp_path):
    path = write_run(tmp_path / "one", finished=False, steps=2)
    view = view_of(path)
    view.press("j")
    chosen = view.answers()[view.place]
    write_step(RunDirectory(path), 3, recipe(3))
    assert view.run.look()
    assert view.place > 1
    assert view.answers()[view.place] == chosen


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
        # Tests that a script runs in the background inherit that Ctrl-C is ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
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
