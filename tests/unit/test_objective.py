"""Whole algorithms: against the reference vectors, under every split, with anything masked."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.algorithm.advantage import step_advantages
from rl.algorithm.objective import contribution
from rl.algorithm.ratio import MAX_LOG_RATIO
from rl.learner.batch import Batch, aggregate
from rl.learner.microbatch import MicroBatch, plan, sequence_lengths, take
from rl.recipe.algorithm import PRESETS, Algorithm
from rl.recipe.config import Recipe

VECTORS = json.loads((Path(__file__).parent / "loss_vectors.json").read_text())

# Every preset, and parts put together otherwise so that every bound and mask acts on some tokens.
ALGORITHMS = [Algorithm.model_validate({"preset": name}) for name in PRESETS] + [
    Algorithm(clip_dual=1.5, token_band=[0.7, 1.4], sequence_band=[0.95, 1.05]),
    Algorithm.model_validate({"loss": "reinforce", "sequence_band": [0.9, 1.1]}),
    Algorithm.model_validate({"preset": "gspo", "aggregation": "prompt", "log_ratio_coef": 0.1}),
    Algorithm.model_validate({"preset": "gmpo", "clip_nats": 0.1, "sequence_band": [0.9, 1.1]}),
    Algorithm.model_validate({"preset": "dppo", "tv_max": 0.05, "token_band": [0.8, 1.2]}),
]
NAMES = [*PRESETS, "clip, all bounds", "reinforce", "gspo by prompt", "gmpo, bands", "dppo, bands"]
each = pytest.mark.parametrize("algorithm", ALGORITHMS, ids=NAMES)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


def make_batch(algorithm, groups, rollout_logprobs, rewards) -> Batch:
    """Answers of so many tokens, in float64, each after a prompt of one token.

    Token t of the batch is t, so that what belongs to a token is found by it.
    """
    critic = {} if algorithm.advantage == "gae" else None
    recipe = Recipe.model_validate(
        {
            "model": "embedded",
            "envs": [{"name": "arithmetic"}],
            "algorithm": dict(algorithm),
            "critic": critic,
        }
    )
    lengths = torch.tensor([n for group in groups for n in group])
    weights, denominator = aggregate(groups, recipe)
    positions = torch.cat([torch.arange(n + 1) for n in lengths])
    mask = positions > 0

    def spread(per_answer):
        return torch.cat(list(per_answer)).repeat_interleave(lengths + 1) * mask

    sizes = [len(group) for group in groups]
    if algorithm.advantage == "gae":  # any that differ from token to token
        advantages = (double(rewards).repeat_interleave(lengths + 1) - 0.1 * positions) * mask
    else:
        advantages = spread(step_advantages(algorithm.advantage, double(rewards).split(sizes)))
    logprobs = torch.zeros(len(mask)).double()
    logprobs[mask] = double(rollout_logprobs)
    return Batch(
        tokens=torch.arange(len(mask)),
        positions=positions,
        loss_mask=mask,
        rollout_logprobs=logprobs,
        advantages=advantages,
        weights=spread(map(double, weights)),
        rewards=torch.zeros(len(mask)).double(),
        denominator=denominator,
        n_tokens=int(mask.sum()),
    )


def step(algorithm, batch, logprobs, ranks=1, budget=10**9):
    """(loss, gradient, clipped, masked) of a step split over ranks and passes."""
    leaf = torch.zeros(len(batch.tokens)).double()
    leaf[batch.loss_mask] = double(logprobs)
    leaf.requires_grad_()
    lengths = sequence_lengths(batch)
    parts = [
        contribution(algorithm, leaf[micro.targets], micro, batch.denominator)
        for passes in plan(lengths, ranks, budget)
        for micro in (take(batch, lengths, sequences) for sequences in passes)
    ]
    total = torch.stack([part.loss for part in parts]).sum()
    (gradient,) = torch.autograd.grad(total, leaf)
    counts = [int(sum(getattr(part, key) for part in parts)) for key in ("clipped", "masked")]
    return total.detach(), gradient[batch.loss_mask], *counts


@pytest.mark.parametrize("vector", VECTORS["losses"], ids=lambda x: str(x["algorithm"]))
def test_value_and_gradient_equal_the_reference_vectors(vector):
    algorithm = Algorithm.model_validate(vector["algorithm"], strict=True)
    batch = make_batch(
        algorithm, [VECTORS["lengths"]], VECTORS["rollout_logprobs"], VECTORS["rewards"]
    )
    loss, gradient, _, _ = step(algorithm, batch, VECTORS["logprobs"])
    torch.testing.assert_close(loss, double(vector["value"]), rtol=0, atol=2e-6)
    torch.testing.assert_close(gradient, double(vector["gradient"]), rtol=0, atol=2e-6)


def test_every_preset_has_a_reference_or_differs_from_one_only_in_parts_that_have():
    losses = {Algorithm.model_validate(x["algorithm"]).loss for x in VECTORS["losses"]}
    assert losses == {preset["loss"] for preset in PRESETS.values()}


@st.composite
def steps(draw):
    """Groups of answers with their log-probabilities: sampler's, and the policy's now."""
    groups = draw(
        st.lists(st.lists(st.integers(1, 6), min_size=2, max_size=4), min_size=1, max_size=4)
    )
    seed = draw(st.integers(0, 10**6))
    generator = torch.Generator().manual_seed(seed)
    n, answers = sum(map(sum, groups)), sum(map(len, groups))
    rollout = -3 * torch.rand(n, generator=generator).double()
    logprobs = rollout + 0.3 * torch.randn(n, generator=generator).double()
    rewards = torch.rand(answers, generator=generator).double()
    return groups, rollout.tolist(), logprobs.clamp(max=0).tolist(), rewards.tolist()


@each
@given(drawn=steps(), ranks=st.integers(1, 3), budget=st.integers(1, 40))
@settings(max_examples=8, deadline=None)
def test_any_split_over_ranks_and_micro_batches_is_the_same_step(algorithm, drawn, ranks, budget):
    groups, rollout, logprobs, rewards = drawn
    batch = make_batch(algorithm, groups, rollout, rewards)
    whole = step(algorithm, batch, logprobs)
    split = step(algorithm, batch, logprobs, ranks, budget)
    torch.testing.assert_close(split[0], whole[0], rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(split[1], whole[1], rtol=1e-9, atol=1e-12)
    assert split[2:] == whole[2:]


@each
def test_the_order_of_the_answers_in_a_step_does_not_matter(algorithm):
    groups, rewards = [[2, 3], [4, 1, 2]], [1.0, 0.0, 0.5, 1.0, 0.0]
    rollout, logprobs = (torch.linspace(a, b, 12).tolist() for a, b in ((-1, -2), (-1.2, -1.5)))
    there = step(algorithm, make_batch(algorithm, groups, rollout, rewards), logprobs)
    turned = [xs[5:] + xs[:5] for xs in (rollout, logprobs)]
    back = step(
        algorithm,
        make_batch(algorithm, groups[::-1], turned[0], rewards[2:] + rewards[:2]),
        turned[1],
    )
    torch.testing.assert_close(back[0], there[0])
    torch.testing.assert_close(back[1].roll(5), there[1])


def micro_batch(rollout, advantages, mask, sequence) -> MicroBatch:
    n = len(rollout)
    nothing = torch.zeros(n, dtype=torch.int64)
    (real,) = [double([1.0] * n)]
    return MicroBatch(
        nothing, nothing, None, nothing, nothing,  # pyright: ignore[reportArgumentType]
        torch.tensor(mask), double(rollout), double(advantages), real, torch.tensor(sequence),
        nothing,
    )  # fmt: skip


def evaluate(algorithm, logprobs, rollout, advantages, mask, sequence):
    leaf = double(logprobs).requires_grad_()
    micro = micro_batch(rollout, advantages, mask, sequence)
    out = contribution(algorithm, leaf, micro, 3)
    (gradient,) = torch.autograd.grad(out.loss, leaf)
    return out, gradient.tolist()


def figures(found):
    return [found.loss.item(), found.clipped.item(), found.masked.item()]


@each
@pytest.mark.parametrize("bad", [float("inf"), float("-inf"), float("nan")])
@pytest.mark.parametrize("where", ["logprobs", "rollout_logprobs", "both", "advantages"])
def test_masked_tokens_are_invisible_whatever_stands_there(algorithm, bad, where):
    """One masked token among those of an answer, and an answer that is masked as a whole."""
    current = bad if where in ("logprobs", "both") else -1.0
    sampler = bad if where in ("rollout_logprobs", "both") else -1.0
    advantage = bad if where == "advantages" else 1.0
    mask = [True, False, True, True, False]
    found, gradient = evaluate(
        algorithm,
        [-0.5, current, -0.8, -0.3, current],
        [-0.4, sampler, -0.9, -0.32, sampler],
        [1.0, advantage, 1.0, -1.0, advantage],
        mask,
        [0, 0, 0, 1, 2],
    )
    alone, gradient_alone = evaluate(
        algorithm,
        [-0.5, -0.8, -0.3],
        [-0.4, -0.9, -0.32],
        [1.0, 1.0, -1.0],
        [True] * 3,
        [0, 0, 1],
    )
    assert figures(found) == figures(alone)
    assert [g for g, trained in zip(gradient, mask, strict=True) if trained] == gradient_alone
    assert [g for g, trained in zip(gradient, mask, strict=True) if not trained] == [0.0, 0.0]


@each
@pytest.mark.parametrize("advantage", [1.0, 0.0, -1.0])
@pytest.mark.parametrize("pair", [(0.0, -2000.0), (-2000.0, 0.0)])
def test_a_ratio_that_would_overflow_gives_no_nan(algorithm, advantage, pair):
    found, gradient = evaluate(algorithm, [pair[0]], [pair[1]], [advantage], [True], [0])
    assert torch.isfinite(found.loss)
    assert torch.isfinite(double(gradient)).all()


@each
def test_a_pass_without_trained_tokens_adds_zero(algorithm):
    found, gradient = evaluate(algorithm, [-1.0], [-2.0], [1.0], [False], [0])
    assert figures(found) == [0.0, 0, 0]
    assert gradient == [0.0]


@each
def test_on_policy_every_loss_has_the_plain_policy_gradient(algorithm):
    groups, rewards = [[2, 3], [4, 1]], [1.0, 0.0, 0.3, 1.0]
    rollout = torch.linspace(-2, -0.1, 10).tolist()
    batch = make_batch(algorithm, groups, rollout, rewards)
    _, gradient, clipped, masked = step(algorithm, batch, rollout)
    plain = -(batch.advantages * batch.weights / batch.denominator)[batch.loss_mask]
    torch.testing.assert_close(gradient, plain)
    if algorithm.aggregation != "token" or algorithm.loss not in ("gspo", "gmpo"):
        assert (clipped, masked) == (0, 0)


def test_the_default_is_the_clip_higher_token_mean_of_before_to_the_last_bit():
    """Written out as it stood before algorithms had parts: 0.1's numbers must not move."""
    generator = torch.Generator().manual_seed(0)
    n, n_tokens = 4096, 5000
    rollout = -3 * torch.rand(n, generator=generator)
    leaf = (rollout + 0.2 * torch.randn(n, generator=generator)).requires_grad_()
    advantages = torch.randn(64, generator=generator).repeat_interleave(64)
    mask = torch.ones(n, dtype=torch.bool)

    difference = torch.where(mask, leaf - rollout, 0.0).clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    ratio = difference.exp()
    unclipped, bounded = ratio * advantages, ratio.clamp(1 - 0.2, 1 + 0.28) * advantages
    objective = torch.where(mask, torch.minimum(unclipped, bounded), 0.0)
    before = -objective.sum() / n_tokens
    (gradient_before,) = torch.autograd.grad(before, leaf)

    sequence = torch.arange(64).repeat_interleave(64)
    micro = micro_batch([0.0] * n, [0.0] * n, mask.tolist(), sequence.tolist())
    micro = micro._replace(
        rollout_logprobs=rollout, advantages=advantages, weights=torch.ones(n), loss_mask=mask
    )
    now = contribution(Algorithm(), leaf, micro, n_tokens)
    (gradient,) = torch.autograd.grad(now.loss, leaf)
    assert torch.equal(now.loss, before)
    assert torch.equal(gradient, gradient_before)
    assert int(now.clipped) == int((bounded < unclipped).sum()) > 100
    assert int(now.masked) == 0


def test_what_the_correction_leaves_out_is_counted_and_has_no_gradient_at_all():
    algorithm = Algorithm.model_validate({"preset": "dppo", "sequence_band": [0.9, 1.1]})
    found, gradient = evaluate(
        algorithm, [-1.0, -3.0, -1.0], [-1.0, -1.0, -1.01], [1.0] * 3, [True] * 3, [0, 0, 1]
    )
    assert found.masked == 2
    assert gradient[:2] == [0.0, 0.0], "not even the pull towards the sampler"
    assert gradient[2] != 0
