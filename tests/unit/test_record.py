import json
import math

import pytest

from rl.errors import UserError
from rl.record import RunDirectory, versions


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


def test_numbers_that_json_does_not_have_become_null(directory):
    directory.append("samples.jsonl", [{"step": 1, "reward": math.nan, "in": [math.inf, 1.0]}])
    text = (directory.path / "samples.jsonl").read_text()
    assert json.loads(text) == {"step": 1, "reward": None, "in": [None, 1.0]}
    assert "NaN" not in text


def test_a_failed_replacement_leaves_the_old_file_whole(directory):
    directory.write_json("summary.json", {"a": 1})
    with pytest.raises(TypeError):
        directory.write_json("summary.json", {"a": object()})
    assert json.loads((directory.path / "summary.json").read_text()) == {"a": 1}


def test_a_disk_that_cannot_be_written_is_said_with_the_remedy(directory):
    (directory.path / "metrics.jsonl").mkdir()
    with pytest.raises(UserError, match=r"metrics.jsonl: cannot write .* resumes after the last"):
        directory.append("metrics.jsonl", [{"step": 1}])


def test_versions_name_what_is_installed():
    found = versions()
    assert found["torch"].startswith("2.")
    assert found["python"].startswith("3.")
