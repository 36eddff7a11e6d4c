"""Adapters in real learner processes, against peft, and on a real rollout server."""

from pathlib import Path

import pytest
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from tests.loop.rank import run_ranks
from tests.loop.test_engine import logprobs_of
from tests.tiny import tiny_model

pytestmark = pytest.mark.slow

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]
ADAPTER = {"rank": 4, "alpha": 8}


def steps(directory: Path | str) -> list[list[object]]:
    return [
        ["logprobs", TOKENS],
        ["update", 1, 16],
        ["update", 2, 1],  # fewer sequences than ranks
        ["save", str(directory)],
        ["update", 3, 0],  # no group carried signal
        ["update", 4, 16],
        ["weights"],
        ["logprobs", TOKENS],
        ["digest"],
    ]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoints")


@pytest.fixture(scope="module")
def reference(model, checkpoints):
    """One rank, ZeRO-0, everything in one pass."""
    return run_ranks(model, steps(checkpoints), lora=ADAPTER, micro_batch_tokens=100_000)


def test_only_adapters_are_learned_and_the_policy_starts_as_it_was(reference, model):
    plain = AutoModelForCausalLM.from_pretrained(model)
    assert reference[0] == pytest.approx(logprobs_of(plain, TOKENS), abs=1e-5)
    assert reference[7] != pytest.approx(reference[0], abs=1e-2)
    assert len(reference[6]) == 2 * 7 * 2  # halves, linear layers, transformer layers
    assert all(name.endswith((".lora_A.weight", ".lora_B.weight")) for name in reference[6])


def assert_same(found, reference):
    for i in (1, 2, 4, 5):
        assert found[i]["loss"] == pytest.approx(reference[i]["loss"], abs=1e-5)
        assert found[i]["grad_norm"] == pytest.approx(reference[i]["grad_norm"], abs=1e-5)
    assert found[6] == pytest.approx(reference[6], rel=1e-3)
    assert found[7] == pytest.approx(reference[7], abs=1e-3)


def test_weights_split_over_ranks_give_the_same_updates_and_resume_bit_for_bit(
    model, reference, tmp_path
):
    split = {"lora": ADAPTER, "ranks": 2, "zero_stage": 3, "micro_batch_tokens": 130}
    found = run_ranks(model, steps(tmp_path), **split)
    assert_same(found, reference)
    load = ["load", str(tmp_path / "step-000002")]
    assert run_ranks(model, [load, *steps(tmp_path)[4:]], **split)[1:] == found[4:]


def test_activation_checkpointing_changes_nothing_but_memory(model, reference, tmp_path):
    settings = {"zero_stage": 2, "activation_checkpointing": True}
    assert_same(run_ranks(model, steps(tmp_path), lora=ADAPTER, **settings), reference)


def test_a_checkpoint_is_a_model_with_its_adapter_beside_it(reference, model, checkpoints):
    """And going on from it is bit for bit, though the frozen weights are not in its own state."""
    from peft import PeftModel

    checkpoint = checkpoints / "step-000002"
    load = [["load", str(checkpoint)], ["logprobs", TOKENS]]
    _, resumed, *rest = run_ranks(
        model, [*load, *steps(checkpoints)[4:]], lora=ADAPTER, micro_batch_tokens=100_000
    )
    assert rest == reference[4:]
    assert resumed != pytest.approx(reference[0], abs=1e-2)
    whole = AutoModelForCausalLM.from_pretrained(checkpoint)
    assert logprobs_of(whole, TOKENS) == pytest.approx(resumed, abs=1e-5)
    names = set(load_file(checkpoint / "model.safetensors"))
    assert names == set(load_file(model / "model.safetensors"))
    plain = AutoModelForCausalLM.from_pretrained(model)
    adapted = PeftModel.from_pretrained(plain, checkpoint / "adapter")
    assert logprobs_of(adapted, TOKENS) == pytest.approx(resumed, abs=1e-5)


def test_bfloat16_is_near_float32(reference, model, tmp_path):
    found = run_ranks(model, steps(tmp_path), lora=ADAPTER, dtype="bfloat16")
    assert found[1]["loss"] == pytest.approx(reference[1]["loss"], abs=5e-3)
    assert found[1]["grad_norm"] == pytest.approx(reference[1]["grad_norm"], rel=0.05)
    assert found[7] == pytest.approx(reference[7], abs=0.2)
