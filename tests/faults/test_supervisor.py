"""What the supervisor makes of a rank 0 that talks, hangs or is interrupted; real processes."""

import io
import os
import signal
import sys

import pytest
from rich.console import Console

from rl import supervisor as module
from rl.children import ChildDied, processes_of
from rl.errors import UserError
from rl.events import EVENTS_VARIABLE, EventReader
from rl.progress import Progress
from rl.supervisor import Follow, Interrupted, Supervisor

# A rank 0 that says what its arguments say, then does what the last one says.
RANK = """
import os, signal, sys, time
asked = []
*events, then = sys.argv[1:]
if then == "stop when asked":
    signal.signal(signal.SIGUSR1, lambda *_: asked.append(1))
for event in events:
    os.write(int(os.environ["ASSAY_EVENTS_FD"]), event.encode() + b"\\n")
while then == "hang" or (then == "stop when asked" and not asked):
    time.sleep(0.01)
if asked:
    os.write(int(os.environ["ASSAY_EVENTS_FD"]), b'{"kind": "done", "summary": {"asked": 1}}\\n')
"""
STEP = (
    '{"kind": "step", "step": 1, "reward": 0.5, "signal_fraction": 1.0, "truncated_fraction": 0.0,'
    ' "response_tokens": {"sum": 9}, "n_trained_tokens": 9, "mismatch_kl": 0.0,'
    ' "masked_fraction": 0.0, "prob_diff_max": 0.0, "pace": {"servers_idle_fraction": 0.0,'
    ' "learner_idle_fraction": 0.0, "sampled_tokens_per_s": 9.0},'
    ' "time": {"sample_s": 1.0, "learn_s": 1.0}}'
)
WAIT = '{"kind": "wait", "reason": "the weather", "deadline_s": 60}'
DONE = '{"kind": "done", "summary": {"steps": 5}}'


class Terminal(io.StringIO):
    """Sends this process the signal when a line with `word` is shown."""

    def __init__(self, word: str) -> None:
        super().__init__()
        self._word = word

    def write(self, text: str) -> int:
        if self._word in text:
            os.kill(os.getpid(), signal.SIGINT)
        return super().write(text)


def follow(run_dir, *said: str, interrupt_at="never", on_item=None, other_rank=False):
    """Follow a rank 0 that says all this; what was shown, and what the run came to.

    With `other_rank` there was a rank 1, which has ended already.
    """
    shown = Terminal(interrupt_at)
    progress = Progress(5, Console(file=shown, width=200))
    reading, writing = os.pipe()
    try:
        with Supervisor(run_dir, progress) as supervisor:
            argv = [sys.executable, "-c", RANK]
            if other_rank:
                other = supervisor.start("rank-1", [*argv, "end"], {})
                other.process.wait(60)
            environment = {EVENTS_VARIABLE: str(writing)}
            rank = supervisor.start("rank-0", [*argv, *said], environment, [writing])
            supervisor.ranks += [rank, *([other] if other_rank else [])]
            watching = Follow(supervisor, EventReader(reading), on_item)
            summary = watching.to_the_end("starting the learner", 60.0)
    finally:
        os.close(reading)
        os.close(writing)
        assert processes_of(run_dir) == []
    return shown.getvalue(), summary


def test_ctrl_c_before_the_first_step_ends_the_run_at_once(tmp_path):
    with pytest.raises(Interrupted):
        follow(tmp_path, WAIT, "hang", interrupt_at="the weather")


def test_ctrl_c_after_a_step_lets_rank_0_finish_the_step_under_way(tmp_path):
    shown, summary = follow(tmp_path, STEP, "stop when asked", interrupt_at="step 1/5")
    assert "the step under way is finished and saved" in shown
    assert summary == {"asked": 1}


def test_a_rank_that_hangs_after_its_summary_does_not_lose_it(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EXIT_S", 0.2)
    assert follow(tmp_path, STEP, DONE, "hang")[1] == {"steps": 5}


def test_other_ranks_may_end_before_rank_0_has_reported_the_summary(tmp_path):
    assert follow(tmp_path, DONE, "end", other_rank=True)[1] == {"steps": 5}


def test_another_rank_that_ends_in_the_middle_is_named(tmp_path):
    with pytest.raises(ChildDied, match="rank-1 ended while the weather: exit code 0"):
        follow(tmp_path, WAIT, "hang", other_rank=True)


def test_warnings_are_shown_as_such_and_items_are_handed_on(tmp_path):
    items = []
    shown, _ = follow(
        tmp_path,
        '{"kind": "warn", "text": "most answers are cut off"}',
        '{"kind": "item", "what": "weights", "ok": true, "detail": "fine"}',
        DONE,
        "end",
        on_item=items.append,
    )
    assert "WARNING: most answers are cut off" in shown
    assert items == [{"what": "weights", "ok": True, "detail": "fine"}]


def test_a_failure_that_rank_0_reports_is_what_the_user_reads(tmp_path):
    with pytest.raises(UserError, match="give it more tasks"):
        follow(tmp_path, '{"kind": "failed", "message": "give it more tasks"}', "end")
