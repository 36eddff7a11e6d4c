import json
import math
import os

import pytest

from rl.errors import UserError
from rl.recipe.config import Recipe
from rl.record import RunDirectory, Sessions, Trackers, versions


@pytest.fixture
def directory(tmp_path):
    return RunDirectory(tmp_path)


def test_rewinding_drops_later_steps_and_a_torn_last_line(directory):
    directory.append("metrics.jsonl", [{"step": n} for n in (1, 2, 3)])
    with (directory.path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "rew')  # killed in the middle of a write
    directory.rewind(2)
    assert directory.rows("metrics.jsonl") == [{"step": 1}, {"step": 2}]


def test_rewinding_to_the_start_keeps_the_first_evaluation(directory):
    directory.append("evals.jsonl", [{"step": 0}, {"step": 5}])
    directory.rewind(0)
    assert directory.evaluation(0) == {"step": 0}
    assert directory.evaluation(5) is None


def test_rewinding_drops_answers_of_an_evaluation_that_was_killed_before_its_scores(directory):
    def answers(step, split):
        return [{"step": step, "split": split, "id": f"{split}/{step}"}]

    directory.append("evals.jsonl", [{"step": 0}])
    for step, split in ((0, "test"), (1, "train"), (2, "train"), (2, "test")):
        directory.append("samples.jsonl", answers(step, split))
    directory.rewind(2)
    left = [row["id"] for row in directory.rows("samples.jsonl")]
    assert left == ["test/0", "train/1", "train/2"]


def test_numbers_that_json_does_not_have_become_null(directory):
    directory.append("samples.jsonl", [{"step": 1, "reward": math.nan, "in": [math.inf, 1.0]}])
    text = (directory.path / "samples.jsonl").read_text()
    assert json.loads(text) == {"step": 1, "reward": None, "in": [None, 1.0]}
    assert "NaN" not in text


def test_a_line_separator_in_an_answer_does_not_end_its_line(directory):
    rows = [{"step": 1, "response": "one\u2028two\x85three\n"}, {"step": 2}]
    directory.append("samples.jsonl", rows)
    assert directory.rows("samples.jsonl") == rows


def test_half_a_surrogate_pair_is_written_and_read_back(directory):
    texts = {"half": "\ud800", "other": "x\udfff", "escaped": "\\ud800", "whole": "\U0001f600 ä"}
    directory.append("samples.jsonl", [{"step": 1, "split": "train", "\udc80": texts}])
    directory.rewind(1)
    assert directory.rows("samples.jsonl")[0]["\udc80"] == texts
    assert "ä" in (directory.path / "samples.jsonl").read_text(encoding="utf-8"), "for a person"
    directory.write_json("summary.json", texts)
    assert directory.read_json("summary.json") == texts


def test_a_failed_replacement_leaves_the_old_file_whole(directory):
    directory.write_json("summary.json", {"a": 1})
    with pytest.raises(TypeError):
        directory.write_json("summary.json", {"a": object()})
    assert json.loads((directory.path / "summary.json").read_text()) == {"a": 1}


def test_a_disk_that_cannot_be_written_is_said_with_the_remedy(directory):
    (directory.path / "metrics.jsonl").mkdir()
    with pytest.raises(UserError, match=r"metrics.jsonl: cannot write .* resumes after the last"):
        directory.append("metrics.jsonl", [{"step": 1}])


def test_a_file_that_cannot_be_replaced_is_said_with_its_name(directory):
    (directory.path / "summary.json").mkdir()
    with pytest.raises(UserError, match=r"summary.json: cannot write \(Is a directory\)"):
        directory.write_json("summary.json", {"a": 1})


def seconds(directory, began, policy_s, wall_s):
    """Sessions as an earlier process left them."""
    directory.write_json(
        "sessions.json", [{"began": began, "policy_s": policy_s, "wall_s": wall_s}]
    )


def test_the_time_of_a_run_is_that_of_all_its_sessions(directory):
    seconds(directory, 1000.0, 20.0, 300.0)
    with Sessions(directory) as sessions:
        sessions.policy_found()
        spent = sessions.end()
    assert 300 <= spent["wall_s"] < 310
    assert 20 <= spent["policy_s"] < 30
    assert len(directory.read_json("sessions.json")) == 2


def test_a_session_that_was_killed_counts_up_to_its_last_step(directory):
    seconds(directory, 1000.0, 20.0, None)
    directory.append("metrics.jsonl", [{"step": 1}])
    os.utime(directory.path / "metrics.jsonl", (1250.0, 1250.0))
    with Sessions(directory) as sessions:
        assert 250 <= sessions.end()["wall_s"] < 260


def test_a_session_that_ends_with_an_error_is_written_down(directory):
    with pytest.raises(ZeroDivisionError), Sessions(directory):
        1 / 0  # noqa: B018
    (session,) = directory.read_json("sessions.json")
    assert session["wall_s"] >= 0


@pytest.mark.slow  # of importing TensorBoard
def test_tensorboard_shows_evaluations_also_those_before_a_resume(directory):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def scores(step, value):
        return {"step": step, "problems": 8, "avg_at_k": {"value": value, "low": 0.0, "high": 1.0}}

    directory.append("evals.jsonl", [scores(0, 0.25)])
    directory.append("metrics.jsonl", [{"step": 1, "reward": 0.5}])
    recipe = Recipe.model_validate({"model": "embedded", "envs": [{"name": "arithmetic"}]})
    Trackers(recipe, directory).log_evaluation(scores(2, 0.75))
    events = EventAccumulator(str(directory.path / "tensorboard")).Reload()
    shown = [(event.step, event.value) for event in events.Scalars("eval/avg_at_k/value")]
    assert shown == [(0, 0.25), (2, 0.75)]
    assert [event.value for event in events.Scalars("reward")] == [0.5]


def test_versions_name_what_is_installed():
    found = versions()
    assert found["torch"].startswith("2.")
    assert found["python"].startswith("3.")
