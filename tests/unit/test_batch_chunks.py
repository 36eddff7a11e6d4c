"""Answers in chunks as a batch: contexts, one loss over all chunks, ratios of whole answers."""

import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.base import Task
from rl.algorithm.objective import contribution
from rl.learner.batch import Batch, pack
from rl.learner.microbatch import plan, sequence_answers, sequence_lengths, take
from rl.recipe.config import Recipe
from rl.types import Chunk, Completion, Graded, Rollout, Span, Stop
from verifiers.verdict import correct, wrong

PROMPT = [7, 8]


def recipe(**algorithm):
    return Recipe.model_validate(
        {"model": "embedded", "envs": [{"name": "arithmetic"}], "algorithm": algorithm}
    )


def graded(reward, n, chunks, spans):
    """Tokens 10, 11, ... with log-probabilities -0.1, -0.2, ... where they were sampled."""
    tokens = list(range(10, 10 + n))
    sampled = {i for _, start, end in spans for i in range(start, end)}
    logprobs = [-0.1 * (i + 1) if i in sampled else 0.0 for i in range(n)]
    completion = Completion(tokens, logprobs, Stop.FINISHED, spans, chunks)
    rollout = Rollout("arithmetic", Task("1 + 1", "2"), PROMPT, completion, "answer")
    return Graded(rollout, correct("2") if reward else wrong("3", "not 2"), reward)


# Six tokens in three chunks, one of them put in; beside it a plain answer of two.
THREE = graded(
    1.0,
    n=6,
    chunks=(Chunk(0, 0, 0), Chunk(3, 1, 1), Chunk(5, 1, 2)),
    spans=(Span(0, 0, 3), Span(1, 4, 6)),
)
PLAIN = graded(0.0, n=2, chunks=(Chunk(0, 0, 0),), spans=(Span(0, 0, 2),))
GROUP = [THREE, PLAIN]


def test_the_chunks_of_an_answer_are_sequences_behind_their_contexts_by_hand():
    batch = pack([GROUP], recipe(advantage="group_mean")).batch
    chunks = [[7, 8, 10, 11, 12], [7, 8, 10, 12, 13, 14], [7, 8, 10, 13, 14, 15], [7, 8, 10, 11]]
    assert batch.tokens.tolist() == [token for chunk in chunks for token in chunk]
    assert batch.positions.tolist() == [i for chunk in chunks for i in range(len(chunk))]
    trained = [[0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 1], [0, 0, 1, 1]]
    assert batch.loss_mask.tolist() == [bool(x) for chunk in trained for x in chunk]
    old = [[0, 0, -0.1, -0.2, -0.3], [0] * 5 + [-0.5], [0] * 5 + [-0.6], [0, 0, -0.1, -0.2]]
    torch.testing.assert_close(batch.rollout_logprobs, torch.tensor([x for c in old for x in c]))
    assert batch.advantages[batch.loss_mask].tolist() == [0.5] * 5 + [-0.5] * 2
    assert batch.answers is not None
    assert batch.answers.tolist() == [0] * 17 + [1] * 4
    assert (batch.denominator, batch.n_tokens) == (7, 7)
    assert not batch.advantages[~batch.loss_mask].any()
    assert not batch.weights[~batch.loss_mask].any()


@pytest.mark.parametrize(
    ("aggregation", "weights", "denominator"),
    [
        ({"aggregation": "token"}, [1, 1], 7),
        ({"aggregation": "sequence"}, [1 / 5, 1 / 2], 2),
        ({"aggregation": "prompt"}, [1 / 7, 1 / 7], 1),
        ({"aggregation": "constant", "constant_tokens": 10}, [1, 1], 20),
    ],
)
def test_an_answer_counts_with_the_trained_tokens_of_all_its_chunks(
    aggregation, weights, denominator
):
    batch = pack([GROUP], recipe(**aggregation)).batch
    found = batch.weights[batch.loss_mask]
    expected = [weights[0]] * 5 + [weights[1]] * 2
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float32))
    assert batch.denominator == denominator


def test_plain_answers_make_the_batch_that_they_always_made():
    batch = pack([[PLAIN, graded(1.0, 3, (Chunk(0, 0, 0),), (Span(0, 0, 3),))]], recipe()).batch
    assert batch.answers is None
    assert sequence_answers(batch) == [0, 1]


def gradient(recipe, logprobs, ranks=1, budget=10**9):
    """Of the step's loss, per trained token of GROUP; and how many passes there were."""
    batch = pack([GROUP], recipe).batch
    leaf = torch.zeros(len(batch.tokens), dtype=torch.float64)
    leaf[batch.loss_mask] = torch.tensor(logprobs, dtype=torch.float64)
    leaf.requires_grad_()
    # Token t of the batch is t, so that what belongs to a token is found by it.
    numbered = batch._replace(tokens=torch.arange(len(leaf)))
    whole = recipe.algorithm.takes_answers_whole
    together = sequence_answers(batch) if whole else None
    lengths = sequence_lengths(batch)
    total, n = torch.zeros((), dtype=torch.float64), 0
    for passes in plan(lengths, ranks, budget, together):
        for chosen in filter(None, passes):
            micro = take(numbered, lengths, chosen)
            own = contribution(recipe.algorithm, leaf[micro.targets], micro, batch.denominator)
            total, n = total + own.loss, n + 1
    (found,) = torch.autograd.grad(total, leaf)
    assert not found[~batch.loss_mask].any()
    return found[batch.loss_mask].tolist(), n


ON_POLICY = [-0.1, -0.2, -0.3, -0.5, -0.6, -0.1, -0.2]


def test_the_gradient_of_an_answer_in_three_chunks_by_hand():
    """On policy it is -advantage / tokens of the step, at every trained token of every chunk."""
    chosen = recipe(advantage="group_mean", sequence_band=None)
    found, _ = gradient(chosen, ON_POLICY)
    assert found == pytest.approx([-0.5 / 7] * 5 + [0.5 / 7] * 2, rel=1e-6)
    apart, n = gradient(chosen, ON_POLICY, ranks=2, budget=6)
    assert apart == pytest.approx(found)
    assert n == 4, "a chunk is a pass of its own where nothing looks at whole answers"


def test_the_ratio_of_an_answer_is_over_all_its_chunks_by_hand():
    """GSPO: -A s / (answers x tokens of the answer), s the geometric mean over its 5 tokens."""
    moved = [0.3, 0.1, 0.0, -0.2, 0.3, 0.0, 0.0]  # nats that each token's log-probability moved
    logprobs = [old + move for old, move in zip(ON_POLICY, moved, strict=True)]
    wide = {"clip_low": 0.9, "clip_high": 0.9, "sequence_band": None}
    chosen = recipe(preset="gspo", advantage="group_mean", **wide)
    s = math.exp(sum(moved[:5]) / 5)
    expected = [-0.5 * s / (2 * 5)] * 5 + [0.5 / (2 * 2)] * 2
    for ranks, budget in ((1, 10**9), (1, 6), (2, 6)):
        found, n = gradient(chosen, logprobs, ranks, budget)
        assert found == pytest.approx(expected, rel=1e-5)
        assert n == (1 if budget > 6 else 2), "the chunks of an answer stay together"


def test_a_band_leaves_out_an_answer_with_all_its_chunks():
    moved = [2.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    logprobs = [old + move for old, move in zip(ON_POLICY, moved, strict=True)]
    # The mean is 0.8 nats: too much, though three of the chunks' tokens did not move at all.
    found, _ = gradient(recipe(advantage="group_mean", sequence_band=[0.5, 2.0]), logprobs)
    assert found[:5] == [0.0] * 5
    assert found[5:] == pytest.approx([0.5 / 7] * 2, rel=1e-6)


@given(
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=20),
    marks=st.lists(st.booleans(), min_size=20, max_size=20),
    ranks=st.integers(1, 3),
    budget=st.integers(1, 60),
)
@settings(max_examples=60, deadline=None)
def test_a_plan_has_every_sequence_once_and_no_answer_in_two_passes(lengths, marks, ranks, budget):
    answers = torch.tensor(marks[: len(lengths)]).cumsum(0).tolist()  # neighbours share one
    found = plan(lengths, ranks, budget, answers)
    passes = [own for rank in found for own in rank]
    assert sorted(i for own in passes for i in own) == list(range(len(lengths)))
    assert len({len(rank) for rank in found}) == 1
    holders = [{answers[i] for i in own} for own in passes]
    assert sum(map(len, holders)) == len(set(answers))
    for own, held in zip(passes, holders, strict=True):
        assert all(lengths[a] >= lengths[b] for a, b in pairwise(own))
        assert len(held) == 1 or sum(lengths[i] for i in own) <= budget
    assert plan(lengths, ranks, budget) == plan(lengths, ranks, budget, list(range(len(lengths))))


def test_a_pass_numbers_answers_and_not_chunks():
    positions = torch.tensor([0, 1, 0, 1, 0, 1, 2])
    zero = torch.zeros(7)
    batch = Batch(
        torch.arange(7), positions, positions > 0, zero, zero, zero, zero, 4, 4,
        answers=torch.tensor([0, 0, 1, 1, 0, 0, 0]),
    )  # fmt: skip
    micro = take(batch, sequence_lengths(batch), [2, 0, 1])
    assert micro.targets.tolist() == [5, 6, 1, 3]
    assert micro.sequence.tolist() == [0, 0, 0, 1]
