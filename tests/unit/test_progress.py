import io

from rich.console import Console
from rich.table import Table

from rl.progress import Progress, before_after, how_many

ROW = {
    "step": 3, "reward": 0.5, "signal_fraction": 0.25, "truncated_fraction": 0.125,
    "response_tokens": {"sum": 1000}, "n_trained_tokens": 500, "mismatch_kl": 2e-9,
    "masked_fraction": 0.0, "prob_diff_max": 3e-4,
    "pace": {"servers_idle_fraction": 0.25, "learner_idle_fraction": 0.5,
             "sampled_tokens_per_s": 500.0},
    "time": {"sample_s": 2.0, "learn_s": 1.0},
}  # fmt: skip


def shown(terminal, act):
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=200, highlight=False)
    with Progress(13, console) as progress:
        act(progress)
    return file.getvalue()


def test_without_a_terminal_every_row_of_a_table_is_one_line():
    def lines(terminal):
        table = Table(title="scores")
        table.add_column("model", overflow="fold")
        table.add_column("score")
        table.add_row("a long name of a model " * 5, "0.123 [0.100, 0.200]")
        file = io.StringIO()
        console = Console(file=file, force_terminal=terminal, width=80, highlight=False)
        Progress(0, console).show(table)
        return file.getvalue().splitlines()

    assert len(lines(False)) == 6
    assert lines(False)[4].count("a long name") == 5
    assert len(lines(True)) > 6


def test_a_step_says_what_matters():
    line = shown(False, lambda progress: progress.step(ROW))
    for part in (
        "step 3/13", "reward 0.500", "signal 25%", "truncated 12%", "sampled 500 tok/s",
        "trained 500 tok/s", "idle 25%/50%", "KL 2.0e-09", "p diff 3.0e-04", "left 0.5 min",
    ):  # fmt: skip
        assert part in line
    assert "masked" not in line, "nothing was left out"
    some = {**ROW, "masked_fraction": 0.034}
    assert "masked 3.4%" in shown(False, lambda progress: progress.step(some))


def test_a_step_says_what_the_critic_knows_and_that_the_policy_is_frozen():
    def line(**critic):
        row = {**ROW, "critic": {"explained_variance": 0.25, "policy_frozen": False, **critic}}
        return shown(False, lambda progress: progress.step(row))

    assert "critic explains 25%  left" in line()
    assert "policy frozen, only the critic learns" in line(policy_frozen=True)
    assert "explains" not in line(explained_variance=float("nan")), "all answers were paid alike"


def test_a_step_says_where_the_run_will_end_once_that_is_forecast():
    def act(progress):
        progress.forecast({"step": 13, "score": {"value": 0.95, "low": 0.9, "high": 0.97}})
        progress.step(ROW)

    assert "will end at 0.950 [0.900, 0.970]  left" in shown(False, act)
    assert "will end" not in shown(False, lambda progress: progress.step(ROW))


def test_a_terminal_shows_what_is_waited_for_and_until_when():
    def act(progress):
        progress.wait("rollout servers are starting", 600)
        progress.tick()
        progress.refresh()

    printed = shown(True, act)
    assert "rollout servers are starting (0 of at most 600 s)" in printed


def test_what_must_be_seen_is_printed_whole_and_unformatted():
    text = "[bold]not markup[/bold] " + "x" * 300
    assert text in shown(False, lambda progress: progress.say(text))


def test_what_a_policy_wrote_can_neither_stop_nor_steer_the_terminal():
    file = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    Progress(1, Console(file=file)).warn("it said \ud800 \x1b[2J \x9b \r ä\nc")
    file.seek(0)
    assert file.read() == "WARNING: it said \\ud800 \\x1b[2J \\x9b \\r ä\nc\n"


def test_a_warning_is_bold_and_says_that_it_is_one():
    assert "WARNING: most answers" in shown(False, lambda progress: progress.warn("most answers"))
    assert "\x1b[1;33mWARNING" in shown(True, lambda progress: progress.warn("most answers"))


def test_the_time_left_is_of_what_every_step_does_and_not_of_the_first_evaluation():
    first = {**ROW, "step": 1, "time": {**ROW["time"], "publish_s": 3.0, "evaluate_s": 9000.0}}
    assert "left 1.2 min" in shown(False, lambda progress: progress.step(first))


def test_the_table_shows_before_and_after_and_each_of_several_environments():
    score = {"value": 0.5, "low": 0.4, "high": 0.6}
    sums = {"value": 0.3, "low": 0.2, "high": 0.4}
    alone = {"avg_at_k": score, "avg_by_env": {"algebra": score}, "pass_k": 4, "pass_at_k": score}
    mixed = {**alone, "avg_by_env": {"algebra": score, "arithmetic": sums}}

    def printed(scores):
        summary = {"samples": 8, "problems": 512, "before": scores, "after": scores}
        return shown(False, lambda progress: progress.show(before_after(summary)))

    assert "512 held-out problems, 8 answers each" in printed(alone)
    assert "avg@8" in printed(alone)
    assert "0.400 to 0.600" in printed(alone)
    assert "algebra" not in printed(alone), "it says nothing new"
    (line,) = (line for line in printed(mixed).splitlines() if "arithmetic" in line)
    assert "0.200 to 0.400" in line


def test_one_of_a_thing_is_not_several():
    found = [how_many(n, "rank") for n in (0, 1, 2, 1234)]
    assert found == ["0 ranks", "1 rank", "2 ranks", "1,234 ranks"]
