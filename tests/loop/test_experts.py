"""A policy with experts: the learner on real ranks, and a run with a real rollout server."""

import asyncio
import json
from itertools import pairwise

import pytest
import torch

from rl.algorithm.loss import clip
from rl.learner.attention import segments
from rl.learner.packed_model import PackedPolicy, in_checkpoint_names, load_model
from rl.policy.embedded import make_embedded
from rl.recipe.sections import EmbeddedPolicy
from rl.sampling.engine import Engine, Sampling
from rl.sampling.routes import Experts, read_experts, replayed_experts
from rl.weights.publisher import WeightPublisher
from tests.loop.conftest import running_server
from tests.loop.rank import run_ranks
from tests.loop.runs import rows, train
from tests.tiny import random_batch, routed, tiny_experts

pytestmark = pytest.mark.slow

TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3]
STEPS = [
    ["update", 1, 16],  # names no experts
    ["routed", 1, 16],
    ["routed", 2, 0],
    ["routed", 3, 1],
    ["weights"],
    ["logprobs", TOKENS],
]
EXPERTS = "embedded={layers: 2, hidden: 64, heads: 2, kv_heads: 2, intermediate: 64, experts: 4, max_tokens: 256}"  # noqa: E501


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_experts(tmp_path_factory.mktemp("policy"))


@pytest.fixture(scope="module")
def reference(model):
    """One rank, ZeRO-0, everything in one pass."""
    return run_ranks(model, STEPS, micro_batch_tokens=100_000)


@pytest.mark.parametrize(("zero_stage", "sharing_a_pass"), [(2, 2), (3, 1)])
def test_any_split_of_replayed_answers_is_the_same_update(
    zero_stage, sharing_a_pass, model, reference
):
    found = run_ranks(
        model,
        STEPS,
        ranks=2,
        zero_stage=zero_stage,
        sequence_parallel=sharing_a_pass,
        micro_batch_tokens=130 // sharing_a_pass,
    )
    for got, want in zip(found[1:4], reference[1:4], strict=True):
        assert got["loss"] == pytest.approx(want["loss"], abs=1e-5)
        assert got["grad_norm"] == pytest.approx(want["grad_norm"], abs=1e-5)
        assert got["logprob_diff_max"] == pytest.approx(want["logprob_diff_max"], abs=1e-4)
    assert found[1]["n_micro_batches"] > 1
    assert found[4] == pytest.approx(reference[4], rel=1e-4)
    assert "model.layers.0.mlp.experts.3.gate_proj.weight" in found[4]
    assert found[5] == pytest.approx(reference[5], abs=1e-3)


def loss_alone(model, batch):
    """Of one sequence after the other, in this process."""
    policy = PackedPolicy(load_model(str(model), "float32", False), experts=read_experts(model))
    starts = [*(batch.positions == 0).nonzero().squeeze(1).tolist(), len(batch.tokens)]
    total = torch.zeros(())
    for begin, end in pairwise(starts):
        own, later, n = slice(begin, end), slice(begin + 1, end), end - begin
        routes = None if batch.routes is None else batch.routes[own]
        logprobs, _ = policy(
            batch.tokens[own], torch.arange(n), segments([n]), torch.arange(n - 1),
            batch.tokens[later], 1.0, routes=routes,
        )  # fmt: skip
        tokens = logprobs, batch.rollout_logprobs[later], batch.advantages[later]
        found = clip(*tokens, batch.loss_mask[later], clip_low=0.2, clip_high=0.28)
        total += found.loss.detach().sum() / batch.n_tokens
    return total.item()


def test_the_loss_is_that_of_the_experts_that_were_chosen(model, reference):
    batch = routed(random_batch(1, 16), 1)
    assert reference[1]["loss"] == pytest.approx(loss_alone(model, batch), abs=1e-5)
    own = loss_alone(model, batch._replace(routes=None))
    assert reference[1]["loss"] != pytest.approx(own, abs=1e-3)


def test_answers_that_name_no_experts_are_refused_with_the_key_that_overrides(reference):
    refused = reference[0]
    assert refused["error"] == "LearnerError"
    assert "set moe.routing=learner" in refused["message"]


def test_a_run_replays_what_its_server_chose_and_both_agree(tmp_path):
    done = train(tmp_path, EXPERTS, "steps=3", "engine.max_num_seqs=64")
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "2 of 4 per token and layer" in done.stdout
    metrics = rows(tmp_path)
    assert [row["step"] for row in metrics] == [1, 2, 3]
    for row in metrics:
        assert row["grad_norm"] > 1e-3
        # both compute in float32, so what is left is rounding, where no other expert was taken
        assert row["logprob_diff_max"] < 1e-4
        assert row["weights_logprob_diff"] < 1e-5
    checkpoint = json.loads((tmp_path / "summary.json").read_text())["checkpoint"]
    assert read_experts(checkpoint) == Experts(2, 4, 2, "qwen3_moe")
    assert "routes" not in (tmp_path / "samples.jsonl").read_text()


def test_answers_say_their_experts_also_across_updates_under_way(server_recipe, tmp_path):
    size = {"layers": 2, "hidden": 64, "heads": 2, "kv_heads": 1, "intermediate": 64}
    size = EmbeddedPolicy(**size, experts=8, experts_per_token=2, max_tokens=512)
    make_embedded(tmp_path / "policy", size, seed=0)
    recipe = server_recipe.model_copy(update={"model": str(tmp_path / "policy")})
    experts = replayed_experts(recipe.model, recipe)
    model = load_model(recipe.model, "float32", False)
    policy = PackedPolicy(model, experts=experts)
    prompts = [[10, 50, 60, 70 + i] for i in range(8)]
    seeds = [1000 * i for i in range(8)]

    @torch.no_grad()
    def differences(answers):
        """Per answer: the largest |learner - sampler|, with the experts that the sampler names."""
        for prompt, answer in answers:
            tokens = torch.tensor(prompt + answer.tokens)
            n, first = len(tokens), len(prompt)
            routes = torch.tensor(list(answer.routes), dtype=torch.uint8).view(n - 1, -1)
            found, _ = policy(
                tokens, torch.arange(n), segments([n]), torch.arange(first - 1, n - 1),
                tokens[first:], 1.0, routes=torch.cat([routes, routes[-1:]]),
            )  # fmt: skip
            yield float((found - torch.tensor(answer.logprobs)).abs().max())

    async def run(url, key):
        async with Engine([url], key, recipe, experts) as engine:
            await engine.wait_ready(recipe.engine.start_deadline_s)

            async def sample(tokens):
                sampling = Sampling(tokens, 1.0, 2)
                found = engine.sample(prompts, seeds, sampling)
                return [(prompts[i], answer) async for i, group in found for answer in group]

            assert max(differences(await sample(30))) < 1e-4
            publisher = WeightPublisher(engine, recipe)
            sampling = asyncio.create_task(sample(200))
            for version in (1, 2, 3):
                await publisher.publish(
                    in_checkpoint_names(model, model.named_parameters()), version
                )
            answers = await sampling
            assert max(len(answer.spans) for _, answer in answers) > 1
            assert max(differences(answers)) < 1e-4  # every version had the same weights

    with running_server(recipe, tmp_path) as server:
        asyncio.run(run(server.url, server.api_key))
