"""What the words after `assay eval` stand for."""

import json
import shutil
from pathlib import Path

import pytest

from rl.checkpoint import save_checkpoint
from rl.errors import UserError
from rl.evaluation.targets import Target, find_targets


class Weights:
    """A learner that has nothing but a configuration to save."""

    checkpoint_bytes = 0

    def __init__(self, version: int) -> None:
        self.version = version

    def save(self, directory: Path) -> None:
        model(directory, content=str(self.version))


def model(directory: Path, content: str = "") -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text(json.dumps({"content": content}))
    (directory / "tokenizer_config.json").write_text("{}")
    return directory


@pytest.fixture
def run(tmp_path):
    run_dir = tmp_path / "math-1"
    for version in (2, 4):
        save_checkpoint(run_dir / "checkpoints", Weights(version), keep=2)
    (run_dir / "recipe.yaml").write_text("")
    start = model(tmp_path / "start")
    (run_dir / "policy.json").write_text(json.dumps({"path": str(start)}))
    return run_dir


def test_a_run_stands_for_its_starting_policy_and_all_its_checkpoints(run, tmp_path):
    found = find_targets([str(run)], [])
    names = ["math-1-step-000000", "math-1-step-000002", "math-1-step-000004"]
    assert [target.name for target in found] == names
    assert [target.step for target in found] == [0, 2, 4]
    assert found[0].source == str(tmp_path / "start")
    assert found[2].source == str(run / "checkpoints" / "step-000004")


def test_copies_that_a_user_made_of_checkpoints_are_left_alone(run):
    checkpoints = run / "checkpoints"
    for copied in ("step-000002-best", "step-000004.bak"):
        shutil.copytree(checkpoints / "step-000002", checkpoints / copied)
    for version in (6, 8):
        save_checkpoint(checkpoints, Weights(version), keep=2)
    left = sorted(path.name for path in checkpoints.iterdir())
    assert left == ["step-000002-best", "step-000004.bak", "step-000006", "step-000008"]


def test_without_the_starting_policy_the_checkpoints_are_left(run, tmp_path):
    (tmp_path / "start").rename(tmp_path / "gone")
    assert [target.step for target in find_targets([str(run)], [])] == [2, 4]


def test_a_damaged_checkpoint_is_refused_by_the_file_that_changed(run):
    (run / "checkpoints" / "step-000004" / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"step-000004 is damaged: config.json has 2 bytes"):
        find_targets([str(run)], [])


def test_a_run_without_checkpoints_is_asked_to_go_on(tmp_path):
    (tmp_path / "recipe.yaml").write_text("")
    with pytest.raises(UserError, match="has no checkpoint yet"):
        find_targets([str(tmp_path)], [])


def test_each_model_is_followed_by_its_variants(tmp_path):
    found = find_targets([str(model(tmp_path / "m"))], ["int8", "int4"])
    assert [(t.name, t.variant) for t in found] == [
        ("m", None),
        ("m-int8", "int8"),
        ("m-int4", "int4"),
    ]


def test_a_model_that_is_named_twice_is_evaluated_once(tmp_path):
    first, second = model(tmp_path / "a" / "m"), model(tmp_path / "b" / "m")
    found = find_targets([str(first), str(second), str(first)], [])
    assert [target.source for target in found] == [str(first), str(second)]


def test_an_adapter_of_our_checkpoints_is_called_after_its_checkpoint(tmp_path):
    adapter = tmp_path / "step-000050" / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text("{}")
    assert find_targets([str(adapter)], []) == [
        Target("step-000050-adapter", str(adapter), step=50)
    ]


def test_a_hub_id_is_taken_as_it_stands():
    assert find_targets(["Qwen/Qwen3-1.7B"], []) == [Target("Qwen3-1.7B", "Qwen/Qwen3-1.7B")]


@pytest.mark.parametrize(
    ("text", "url", "served_as"),
    [
        ("http://host:8000", "http://host:8000/v1", None),
        ("https://host/api/v1/", "https://host/api/v1", None),
        ("http://[::1]:8000/v1#Qwen/Qwen3", "http://[::1]:8000/v1", "Qwen/Qwen3"),
    ],
)
def test_a_server_is_a_url_with_the_model_behind_a_hash(text, url, served_as):
    [found] = find_targets([text], [])
    assert (found.source, found.served_as, found.remote) == (url, served_as, True)
    assert "/" not in found.name


def test_servers_that_differ_in_their_path_only_have_different_directories():
    urls = ["http://host/a/v1#m", "http://host/b/v1#m", "http://host/v1#m", "https://host#m"]
    first, second, third, fourth = (find_targets([url], [])[0].name for url in urls)
    assert len({first, second, third}) == 3
    assert third == fourth == "host-m"


@pytest.mark.parametrize("text", ["http://[::1/v1", "http://host:99999", "http://:80", "https://"])
def test_what_is_no_address_is_answered_with_what_one_is(text):
    with pytest.raises(UserError, match="a server is given as"):
        find_targets([text], [])


def test_a_key_in_a_url_is_refused_and_not_repeated():
    with pytest.raises(UserError, match="ASSAY_EVAL_KEY") as refused:
        find_targets(["https://user:secret@host/v1"], [])
    assert "secret" not in str(refused.value)


def test_a_server_cannot_be_quantised_from_here():
    with pytest.raises(UserError, match="leave out --quantized"):
        find_targets(["http://host:8000/v1"], ["int4"])


def test_what_is_not_there_is_answered_with_what_is(run, tmp_path):
    with pytest.raises(UserError, match=rf"there is no {tmp_path}/math-2; in {tmp_path}: math-1"):
        find_targets([str(tmp_path / "math-2")], [])
