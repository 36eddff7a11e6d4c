import json
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.algorithm.advantage import (
    OF_A_GROUP,
    batch_std,
    gae,
    group_std,
    leave_one_out,
    length_adaptive,
    normalized,
    step_advantages,
    tokens_after,
)

VECTORS = json.loads((Path(__file__).parent / "loss_vectors.json").read_text())


@pytest.mark.parametrize("name", VECTORS["advantages"])
def test_advantages_equal_the_reference_vectors(name):
    rewards = torch.tensor(VECTORS["rewards"], dtype=torch.float64)
    (found,) = step_advantages(name, [rewards])
    expected = torch.tensor(VECTORS["advantages"][name]).double()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def estimated(rewards, values, discount, decay, lengths=None):
    """GAE of answers of so many tokens, one if nothing is said."""
    remaining = tokens_after(torch.tensor(lengths or [len(rewards)]))
    rewards, values = torch.tensor(rewards).double(), torch.tensor(values).double()
    decay = torch.full((len(rewards),), decay)
    return gae(rewards, values, remaining, discount=discount, decay=decay)


def test_generalised_advantages_equal_the_reference_vector():
    given = dict(VECTORS["gae"])
    expected = torch.tensor(given.pop("advantages")).double()
    torch.testing.assert_close(estimated(**given), expected, rtol=0, atol=1e-6)


def test_generalised_advantages_at_both_ends_of_lambda():
    rewards, values = [1.0, 0.0, 2.0], [0.5, 0.25, 1.0]
    # 0: the next value is believed; 1: what was really paid, minus the value
    assert estimated(rewards, values, 0.5, 0.0).tolist() == [1 + 0.125 - 0.5, 0.5 - 0.25, 2 - 1]
    assert estimated(rewards, values, 0.5, 1.0).tolist() == [1 + 0.5 - 0.5, 1 - 0.25, 2 - 1]
    assert estimated([], [], 0.5, 0.5).tolist() == []


def test_generalised_advantages_by_hand():
    # surprises: 0 + .5 - .25 = .25 and 1 - .5 = .5; lambda .5: .25 + .5 x .5 = .5
    assert estimated([0.0, 1.0], [0.25, 0.5], 1.0, 0.5).tolist() == [0.5, 0.5]


@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    discount=st.floats(0.5, 1),
    decays=st.lists(st.floats(0, 1), min_size=6, max_size=6),
    seed=st.integers(0, 10**6),
)
@settings(deadline=None)
def test_answers_laid_end_to_end_are_estimated_as_if_alone_token_by_token(
    lengths, discount, decays, seed
):
    generator = torch.Generator().manual_seed(seed)
    rewards, values = torch.randn(2, sum(lengths), generator=generator).double()
    decay = torch.tensor(decays[: len(lengths)]).repeat_interleave(torch.tensor(lengths))
    remaining = tokens_after(torch.tensor(lengths))
    found = gae(rewards, values, remaining, discount=discount, decay=decay)
    expected = []
    for reward, value, own in zip(
        rewards.split(lengths), values.split(lengths), decays, strict=False
    ):
        running, next_value, backwards = 0.0, 0.0, []
        for r, v in zip(reward.flip(0).tolist(), value.flip(0).tolist(), strict=True):
            running = r + discount * next_value - v + discount * torch.tensor(own).item() * running
            next_value = v
            backwards.append(running)
        expected += backwards[::-1]
    torch.testing.assert_close(found, torch.tensor(expected).double(), rtol=1e-6, atol=1e-6)


def test_a_batch_of_long_answers_is_estimated_at_once():
    length = 32_768
    rewards = torch.zeros(8 * length)
    rewards[length - 1 :: length] = 1.0
    remaining = tokens_after(torch.full((8,), length))
    began = time.perf_counter()
    found = gae(rewards, rewards * 0, remaining, discount=1.0, decay=torch.ones(8 * length))
    assert time.perf_counter() - began < 2
    assert found.tolist() == [1.0] * len(found)


def test_lambda_looks_ahead_by_a_share_of_the_length_of_the_answer():
    found = length_adaptive(torch.tensor([10, 20, 40, 400]), alpha=0.05)
    assert found.tolist() == pytest.approx([0.0, 0.0, 0.5, 0.95])


def test_normalized_advantages_have_mean_0_and_deviation_1_and_equal_ones_are_0():
    found = normalized(torch.tensor([1.0, 2.0, 3.0, 6.0]).double())
    # mean 3; squares 4 + 1 + 0 + 9 over 4: the deviation is the root of 3.5
    expected = torch.tensor([-2.0, -1.0, 0.0, 3.0]).double() / 3.5**0.5
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert normalized(torch.full((3,), 0.5)).tolist() == [0.0] * 3
    assert normalized(torch.tensor([2.0])).tolist() == [0.0]


def test_one_success_in_four_by_hand():
    # mean 1/4; unbiased variance (3 * (1/4)^2 + (3/4)^2) / 3 = 1/4, so the deviation is 1/2
    found = group_std(torch.tensor([0.0, 0.0, 0.0, 1.0]))
    torch.testing.assert_close(found, torch.tensor([-0.5, -0.5, -0.5, 1.5]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", OF_A_GROUP)
def test_equal_rewards_give_zeros_and_not_nan(name):
    assert OF_A_GROUP[name](torch.ones(4)).tolist() == [0.0] * 4


@pytest.mark.parametrize("name", sorted(OF_A_GROUP.keys() - {"none"}))
def test_a_lone_rollout_has_no_baseline(name):
    with pytest.raises(ValueError, match="at least 2 rollouts, got 1"):
        OF_A_GROUP[name](torch.ones(1))


@pytest.mark.parametrize("name", OF_A_GROUP)
@given(rewards=st.lists(st.floats(-10, 10), min_size=2, max_size=32))
@settings(deadline=None)
def test_advantages_sum_to_zero_and_keep_the_order_of_the_rewards(name, rewards):
    found = OF_A_GROUP[name](torch.tensor(rewards, dtype=torch.float64))
    assert abs(found.sum().item()) < 1e-6
    order = sorted(range(len(rewards)), key=rewards.__getitem__)
    assert (found[order].diff() >= 0).all()


def test_leaving_one_out_is_the_reward_minus_the_mean_of_the_others():
    rewards = torch.tensor([3.0, 1.0, 2.0], dtype=torch.float64)
    assert leave_one_out(rewards).tolist() == pytest.approx([3 - 1.5, 1 - 2.5, 2 - 2.0])


def test_a_step_has_one_deviation_and_every_group_its_own_mean():
    groups = [torch.tensor([1.0, 0.0]).double(), torch.tensor([5.0, 5.0, 2.0]).double()]
    centred = torch.tensor([0.5, -0.5, 1.0, 1.0, -2.0]).double()
    # the centred rewards sum to zero: the unbiased variance is the sum of squares over 5 - 1
    deviation = (centred.square().sum() / 4).sqrt()
    found = batch_std(groups)
    assert [len(group) for group in found] == [2, 3]
    torch.testing.assert_close(torch.cat(found), centred / deviation, rtol=0, atol=1e-5)


def test_a_step_in_which_nothing_was_learned_has_no_advantages():
    assert batch_std([]) == []
    assert batch_std([torch.ones(3)])[0].tolist() == [0.0] * 3
