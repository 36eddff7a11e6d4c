"""Adapters in real learner processes, against peft, and on a real rollout server."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, PreTrainedModel

from rl.learner.lora import add_adapter, published, scale
from rl.recipe.learner import Lora
from rl.sampling.engine import Engine, EngineError, Sampling
from rl.weights.publisher import WeightPublisher, write
from tests.loop.conftest import Server
from tests.loop.rank import run_ranks
from tests.loop.runs import rows, train
from tests.loop.test_engine import (
    N_PROMPTS,
    engine_of,
    logprobs_of,
    prompts,
    restored,
    sample,
    went_through_updates,
)
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


# On a rollout server. The adapter is drawn anew, with both halves: as if it had been trained.


@pytest.fixture
def adapted(tiny_policy: Path) -> PreTrainedModel:
    model = AutoModelForCausalLM.from_pretrained(tiny_policy, dtype=torch.float32)
    add_adapter(model, Lora(**ADAPTER), seed=0)
    return redrawn(model, 0)


@torch.no_grad()
def redrawn(model: PreTrainedModel, seed: int) -> PreTrainedModel:
    generator = torch.Generator().manual_seed(seed)
    for weight in model.parameters():
        if weight.requires_grad:
            weight.copy_(torch.randn(weight.shape, generator=generator) * 0.2)
    return model


def adapter_of(model: PreTrainedModel) -> dict[str, torch.Tensor]:
    return dict(published(model.named_parameters(), scale(Lora(**ADAPTER))))


def publisher_of(engine: Engine, server: Server) -> WeightPublisher:
    lora = Lora(**ADAPTER)
    return WeightPublisher(engine, server.recipe.model_copy(update={"lora": lora}))


def test_a_published_adapter_samples_as_the_learner_computes_it_and_moves_few_bytes(
    server: Server, adapted: PreTrainedModel, tiny_policy: Path, tmp_path: Path
) -> None:
    async def run() -> None:
        prompt = prompts()[0]
        plain = AutoModelForCausalLM.from_pretrained(tiny_policy, dtype=torch.float32)
        async with engine_of(server) as engine, restored(engine, server, plain):
            publisher = publisher_of(engine, server)
            for version in (1, 2):  # the second takes the place of the first: they do not add up
                own = logprobs_of(redrawn(adapted, version), prompt)
                await publisher.publish(adapter_of(adapted).items(), version)
                await engine.assert_agrees(prompt, own, version, 1e-4)
            with pytest.raises(EngineError, match="does not sample from weights 2"):
                await engine.assert_agrees(prompt, logprobs_of(plain, prompt), 2, 1e-4)

    asyncio.run(run())
    sent, whole = tmp_path / "sent", tiny_policy / "model.safetensors"
    write(adapter_of(adapted), sent)
    assert sent.stat().st_size < whole.stat().st_size / 5


def test_answers_under_way_go_on_with_a_new_adapter_and_say_from_where(
    server: Server, adapted: PreTrainedModel, tiny_policy: Path
) -> None:
    async def run() -> None:
        plain = AutoModelForCausalLM.from_pretrained(tiny_policy, dtype=torch.float32)
        async with engine_of(server) as engine, restored(engine, server, plain):
            publisher = publisher_of(engine, server)
            long = Sampling(400, 1.0, 4)
            sampling = asyncio.create_task(sample(engine, list(range(N_PROMPTS)), sampling=long))
            for version in (1, 2, 3):
                await publisher.publish(adapter_of(adapted).items(), version)
            groups = await sampling
        went_through_updates(groups)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda a: {**a, "lm_head.lora_A.weight": torch.ones(4, 64)},
            "lm_head.lora_A.weight is no",
        ),
        (lambda a: {k: w[:, :3] if "lora_A" in k else w for k, w in a.items()}, "has the shape"),
        (lambda a: {k.replace("layers.1", "layers.9"): w for k, w in a.items()}, "layers.9"),
    ],
)
def test_an_adapter_that_does_not_fit_is_refused_and_the_server_goes_on(
    change: Any, said: str, server: Server, adapted: PreTrainedModel, tiny_policy: Path
) -> None:
    async def run() -> None:
        plain = AutoModelForCausalLM.from_pretrained(tiny_policy, dtype=torch.float32)
        async with engine_of(server) as engine, restored(engine, server, plain):
            publisher = publisher_of(engine, server)
            own = logprobs_of(adapted, prompts()[0])
            await publisher.publish(adapter_of(adapted).items(), 4)
            with pytest.raises(EngineError, match=said):
                await publisher.publish(change(adapter_of(adapted)).items(), 5)
            await engine.assert_agrees(prompts()[0], own, 4, 1e-4)

    asyncio.run(run())


def test_a_run_with_adapter_and_curriculum_resumes_bit_for_bit(tmp_path: Path) -> None:
    keys = ["lora={rank: 4}", "steps=4", "curriculum={dynamic: true, retire_at: 0.5}"]
    done = train(tmp_path, *keys)
    assert done.returncode == 0, done.stdout + done.stderr
    found, samples = rows(tmp_path), rows(tmp_path, "samples.jsonl")
    assert all(row["weights_logprob_diff"] < 1e-4 for row in found)
    assert max(row["curriculum"]["drawn"] for row in found) > 4
    assert found[-1]["curriculum"]["retired"] > 0
    shutil.rmtree(tmp_path / "checkpoints" / "step-000004")
    (tmp_path / "summary.json").unlink()
    done = train(tmp_path, *keys)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "resuming after step 2" in done.stdout
    assert rows(tmp_path) == found
    assert rows(tmp_path, "samples.jsonl") == samples
