"""What a server loads in an evaluation: adapters merged, weights rounded, found by contents."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from rl.errors import UserError
from rl.evaluation.model import Found, find, identity, main, make
from rl.evaluation.quantized import quantized
from tests.tiny import tiny_model


def quiet(_: str) -> None:
    """Progress is not looked at here."""


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    directory = tiny_model(tmp_path_factory.mktemp("base"))
    (directory / "tokenizer_config.json").write_text("{}")
    return directory


@pytest.fixture(scope="module")
def adapted(base, tmp_path_factory) -> tuple[Path, torch.Tensor]:
    """A peft adapter of another kind than our own, and what it makes of some tokens."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    config = LoraConfig(
        r=4, lora_alpha=16, use_rslora=True, target_modules=["q_proj", "down_proj"],
        init_lora_weights=False, task_type="CAUSAL_LM",
    )  # fmt: skip
    torch.manual_seed(0)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base), config)
    directory = tmp_path_factory.mktemp("adapter")
    model.save_pretrained(directory)
    with torch.no_grad():
        return directory, model(TOKENS).logits


TOKENS = torch.arange(40)[None]


def logits(directory: Path) -> torch.Tensor:
    from transformers import AutoModelForCausalLM

    with torch.no_grad():
        return AutoModelForCausalLM.from_pretrained(directory)(TOKENS).logits


def test_an_adapter_is_found_with_the_model_it_belongs_to(base, adapted):
    found = find(str(adapted[0]), quiet)
    assert (found.path, found.base) == (str(adapted[0]), str(base))
    assert found.parameters == find(str(base), quiet).parameters > 100_000
    assert found.identity not in (identity(base), identity(adapted[0]))


def test_a_merged_adapter_answers_as_the_model_with_it(base, adapted, tmp_path):
    make(find(str(adapted[0]), quiet), tmp_path / "model", None, quiet)
    assert torch.allclose(logits(tmp_path / "model"), adapted[1], atol=1e-4)
    assert not torch.allclose(logits(base), adapted[1], atol=1e-2)
    assert (tmp_path / "model" / "tokenizer_config.json").exists()


def test_an_adapter_can_be_merged_and_then_rounded(adapted, tmp_path):
    from safetensors.torch import load_file

    found = find(str(adapted[0]), quiet)
    make(found, tmp_path / "merged", None, quiet)
    make(found, tmp_path / "rounded", "int4", quiet)
    merged = load_file(tmp_path / "merged" / "model.safetensors")
    for name, weight in load_file(tmp_path / "rounded" / "model.safetensors").items():
        expected = dict(quantized([(name, merged[name])], "int4"))[name]
        assert torch.equal(weight, expected), name


def test_rounding_leaves_the_model_as_it_was_and_is_closer_with_more_bits(base, tmp_path):
    before = identity(base)
    found = find(str(base), quiet)
    errors = []
    for variant in ("int8", "int4"):
        make(found, tmp_path / variant, variant, quiet)
        errors.append((logits(tmp_path / variant) - logits(base)).abs().mean())
    assert 0 < errors[0] < errors[1]
    assert identity(base) == before


def test_the_identity_is_that_of_the_contents(base, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(base, copy)
    (copy / "manifest.json").write_text("{}")  # of a checkpoint: it is not the model
    (copy / "trainer").mkdir()
    assert identity(copy) == identity(base)
    (copy / "config.json").write_text("{}")
    assert identity(copy) != identity(base)


@pytest.mark.parametrize("ending", ["bin", "pt", "pth", "gguf"])
def test_the_identity_is_that_of_weights_in_another_format_too(tmp_path, ending):
    (tmp_path / "config.json").write_text("{}")
    weights = tmp_path / f"pytorch_model.{ending}"
    weights.write_text("1")
    before = identity(tmp_path)
    (tmp_path / "optimizer.pt").write_text("1")  # of a training: it is not the model
    assert identity(tmp_path) == before
    weights.write_text("2")
    assert identity(tmp_path) != before


def test_where_there_are_safetensors_files_weights_in_another_format_are_not_loaded(base, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(base, copy)
    (copy / "pytorch_model.bin").write_text("1")
    assert identity(copy) == identity(base)


def test_an_adapter_that_would_have_to_be_unpickled_is_refused(adapted, tmp_path, capsys):
    shutil.copytree(adapted[0], tmp_path / "a")
    (tmp_path / "a" / "adapter_model.safetensors").rename(tmp_path / "a" / "adapter_model.bin")
    assert main(["find", str(tmp_path / "a"), "--out", str(tmp_path / "found.json")]) == 2
    assert "has no adapter_model.safetensors" in capsys.readouterr().err
    assert not (tmp_path / "found.json").exists()


def test_an_adapter_of_an_unknown_model_is_refused(adapted, tmp_path):
    shutil.copytree(adapted[0], tmp_path / "a")
    config = json.loads((tmp_path / "a" / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = None
    (tmp_path / "a" / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="does not say which model the adapter belongs to"):
        find(str(tmp_path / "a"), quiet)


def test_an_adapter_of_other_sizes_is_refused(base, adapted, tmp_path):
    other = tiny_model(tmp_path / "other", hidden_size=48)
    found = Found(str(adapted[0]), str(other), "", None)
    with pytest.raises(UserError, match="does not fit"):
        make(found, tmp_path / "model", None, quiet)


def test_weights_in_another_format_cannot_be_rounded(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="another format than safetensors"):
        make(Found(str(tmp_path), None, "", None), tmp_path / "model", "int8", quiet)
