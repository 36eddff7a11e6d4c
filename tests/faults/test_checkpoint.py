"""Checkpoints on a full disk, damaged, cut short; and going on from one, bit for bit."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from rl.checkpoint import CheckpointError, find_damage, latest_checkpoint, save_checkpoint
from tests.loop.rank import run_ranks
from tests.tiny import tiny_model


@dataclass
class Files:
    """Something that saves two small files, or a link to another file."""

    version: int
    link: Path | None = None
    checkpoint_bytes: int = 100

    def save(self, directory: Path) -> None:
        (directory / "trainer").mkdir()
        (directory / "trainer" / "state.pt").write_bytes(os.urandom(5000))
        if self.link:
            (directory / "model.safetensors").symlink_to(self.link)
        with (directory / "model.safetensors").open("wb") as file:
            file.write(bytes(4000))


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_the_newest_are_kept_and_the_last_is_found(tmp_path):
    for version in (5, 10, 15, 100):
        assert save_checkpoint(tmp_path, Files(version), keep=2).name == f"step-{version:06d}"
    assert names(tmp_path) == ["step-000015", "step-000100"]
    found = latest_checkpoint(tmp_path)
    assert found == tmp_path / "step-000100"
    assert names(found) == ["manifest.json", "model.safetensors", "trainer"]


def test_without_a_checkpoint_there_is_none(tmp_path):
    assert latest_checkpoint(tmp_path) is None
    assert latest_checkpoint(tmp_path / "never made") is None


def test_the_same_step_is_written_again_after_a_resume(tmp_path):
    save_checkpoint(tmp_path, Files(5), keep=2)
    first = json.loads((tmp_path / "step-000005" / "manifest.json").read_text())
    save_checkpoint(tmp_path, Files(5), keep=2)
    assert names(tmp_path) == ["step-000005"]
    assert json.loads((tmp_path / "step-000005" / "manifest.json").read_text()) != first
    assert find_damage(tmp_path / "step-000005") is None


def test_what_a_killed_process_left_is_no_checkpoint_and_is_cleared_away(tmp_path):
    save_checkpoint(tmp_path, Files(5), keep=2)
    (tmp_path / ".step-000010.partial").mkdir()
    (tmp_path / ".step-000010.partial" / "half").write_bytes(b"x")
    (tmp_path / ".step-000001.removed").mkdir()
    assert latest_checkpoint(tmp_path) == tmp_path / "step-000005"
    save_checkpoint(tmp_path, Files(10), keep=2)
    assert names(tmp_path) == ["step-000005", "step-000010"]


def test_a_disk_that_fills_while_writing_leaves_the_previous_checkpoint_whole(tmp_path):
    save_checkpoint(tmp_path, Files(5), keep=1)
    with pytest.raises(CheckpointError) as caught:
        save_checkpoint(tmp_path, Files(10, link=Path("/dev/full")), keep=1)
    said = str(caught.value)
    assert f"checkpoint {tmp_path / 'step-000010'} could not be written" in said
    assert "No space left on device" in said
    assert "needs at least 100 bytes" in said
    assert "checkpoint.keep" in said
    assert "resumes from step-000005, which is whole" in said
    assert names(tmp_path) == ["step-000005"]
    assert latest_checkpoint(tmp_path) == tmp_path / "step-000005"


def test_a_disk_that_is_too_full_to_begin_is_seen_before_writing(tmp_path):
    with pytest.raises(CheckpointError, match=r"too full to begin.*needs at least 10{18} bytes"):
        save_checkpoint(tmp_path, Files(5, checkpoint_bytes=10**18), keep=1)
    assert names(tmp_path) == []


def lose(step):
    (step / "trainer" / "state.pt").unlink()


def shorten(step):
    os.truncate(step / "trainer" / "state.pt", 4999)


def flip_one_bit(step):
    content = bytearray((step / "trainer" / "state.pt").read_bytes())
    content[2500] ^= 1
    (step / "trainer" / "state.pt").write_bytes(content)


def forget_manifest(step):
    (step / "manifest.json").unlink()


def tear_manifest(step):
    os.truncate(step / "manifest.json", 20)


DAMAGES = [
    (lose, "trainer/state.pt is missing"),
    (shorten, "trainer/state.pt has 4999 bytes, 5000 were written"),
    (flip_one_bit, "the content of trainer/state.pt has changed"),
    (forget_manifest, "manifest.json is missing"),
    (tear_manifest, "manifest.json cannot be read"),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGES)
def test_a_damaged_checkpoint_is_an_error_that_names_the_file_and_the_remedy(
    tmp_path, damage, said
):
    for version in (5, 10, 15):
        save_checkpoint(tmp_path, Files(version), keep=3)
    damage(tmp_path / "step-000015")
    with pytest.raises(CheckpointError) as caught:
        latest_checkpoint(tmp_path)
    assert f"checkpoint {tmp_path / 'step-000015'} is damaged: {said}" in str(caught.value)
    assert f"delete {tmp_path / 'step-000015'}" in str(caught.value)
    assert "resumes from step-000010, which is whole" in str(caught.value)


def test_when_every_checkpoint_is_damaged_the_error_says_so(tmp_path):
    for version in (5, 10):
        save_checkpoint(tmp_path, Files(version), keep=3)
        flip_one_bit(tmp_path / f"step-{version:06d}")
    with pytest.raises(CheckpointError, match=r"step-000010 is damaged.*no older .* is whole"):
        latest_checkpoint(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(("zero_stage", "ranks"), [(0, 1), (2, 1), (3, 2)])
def test_resuming_in_a_new_process_goes_on_bit_for_bit(tmp_path, zero_stage, ranks):
    model = tiny_model(tmp_path / "policy")
    later = [["update", 3, 16], ["update", 4, 16], ["digest"]]
    settings = {"ranks": ranks, "zero_stage": zero_stage, "warmup_steps": 3, "weight_decay": 0.1}
    begin = [["update", 1, 16], ["update", 2, 16]]
    whole = run_ranks(model, [*begin, ["save", str(tmp_path / "run")], *later], **settings)
    resumed = run_ranks(model, [["load", whole[2]], *later], **settings)
    assert resumed[0] == [2]
    assert resumed[1:] == whole[3:]  # loss, gradient norm and every other figure; every weight
    assert whole[3]["version"] == 3


@pytest.mark.slow
def test_a_checkpoint_is_a_hugging_face_model_and_fits_its_estimate(tmp_path):
    from transformers import AutoModelForCausalLM

    model = tiny_model(tmp_path / "policy")
    (model / "chat_template.jinja").write_text("{{ messages }}")
    steps = [["update", 1, 16], ["logprobs", [3, 1, 4, 1, 5]], ["save", str(tmp_path / "run")]]
    _, logprobs, saved = run_ranks(model, steps, zero_stage=3)
    import torch

    loaded = AutoModelForCausalLM.from_pretrained(saved)
    tokens = torch.tensor([[3, 1, 4, 1, 5]])
    with torch.no_grad():
        found = loaded(input_ids=tokens).logits[0, :-1].log_softmax(-1)
    found = found.gather(1, tokens[0, 1:, None])[:, 0]
    torch.testing.assert_close(found, torch.tensor(logprobs), rtol=0, atol=1e-5)
    assert (Path(saved) / "chat_template.jinja").read_text() == "{{ messages }}"
    config = json.loads((Path(saved) / "config.json").read_text())
    assert config["architectures"] == ["Qwen3ForCausalLM"]
    assert "assay" not in json.dumps(config)


@pytest.mark.slow
@pytest.mark.parametrize("limit", [100_000, 3_000_000])  # in the weights; in DeepSpeed's state
def test_a_learner_that_cannot_write_keeps_the_previous_checkpoint_and_goes_on(tmp_path, limit):
    model = tiny_model(tmp_path / "policy")
    run = tmp_path / "run"
    steps = [
        ["update", 1, 16],
        ["save", str(run)],
        ["update", 2, 16],
        ["limit", limit],
        ["save", str(run)],
        ["update", 3, 16],
    ]
    found = run_ranks(model, steps)
    assert found[4]["error"] == "CheckpointError"
    assert "step-000002 could not be written" in found[4]["message"]
    assert "resumes from step-000001, which is whole" in found[4]["message"]
    assert names(run) == ["step-000001"]
    assert latest_checkpoint(run) == run / "step-000001"
    assert found[5]["version"] == 3


@pytest.mark.slow
def test_state_laid_out_otherwise_is_refused_with_a_sentence(tmp_path):
    model = tiny_model(tmp_path / "policy")
    saved = run_ranks(model, [["update", 1, 16], ["save", str(tmp_path / "run")]], zero_stage=2)[1]
    (found,) = run_ranks(model, [["load", saved]], zero_stage=0, dtype="bfloat16")
    assert found["error"] == "LearnerError"
    assert "written with learner.zero_stage=2, learner.dtype=float32 and" in found["message"]
    assert "now it is learner.zero_stage=0, learner.dtype=bfloat16" in found["message"]
    assert f"model={saved}" in found["message"]
