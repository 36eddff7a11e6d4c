import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.advantage import OF_A_GROUP, batch_std, gae, group_std, leave_one_out, step_advantages

VECTORS = json.loads((Path(__file__).parent / "loss_vectors.json").read_text())


@pytest.mark.parametrize("name", VECTORS["advantages"])
def test_advantages_equal_the_reference_vectors(name):
    rewards = torch.tensor(VECTORS["rewards"], dtype=torch.float64)
    (found,) = step_advantages(name, [rewards])
    expected = torch.tensor(VECTORS["advantages"][name]).double()
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_generalised_advantages_equal_the_reference_vector():
    given = dict(VECTORS["gae"])
    expected = torch.tensor(given.pop("advantages"))
    rewards, values = torch.tensor(given.pop("rewards")).float(), torch.tensor(given.pop("values"))
    torch.testing.assert_close(gae(rewards, values, **given), expected, rtol=0, atol=1e-6)


def test_generalised_advantages_at_both_ends_of_lambda():
    rewards, values = torch.tensor([1.0, 0.0, 2.0]), torch.tensor([0.5, 0.25, 1.0])
    # 0: the next value is believed; 1: what was really paid, minus the value
    assert gae(rewards, values, 0.5, 0.0).tolist() == [1 + 0.125 - 0.5, 0.5 - 0.25, 2 - 1]
    assert gae(rewards, values, 0.5, 1.0).tolist() == [1 + 0.5 - 0.5, 1 - 0.25, 2 - 1]
    # an answer that goes on is worth something after its last token
    assert gae(rewards, values, 0.5, 0.0, last_value=4.0).tolist()[-1] == 2 + 2 - 1
    assert gae(rewards[:0], values[:0], 0.5, 0.5).tolist() == []


def test_one_success_in_four_by_hand():
    # mean 1/4; unbiased variance (3 * (1/4)^2 + (3/4)^2) / 3 = 1/4, so the deviation is 1/2
    found = group_std(torch.tensor([0.0, 0.0, 0.0, 1.0]))
    torch.testing.assert_close(found, torch.tensor([-0.5, -0.5, -0.5, 1.5]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", OF_A_GROUP)
def test_equal_rewards_give_zeros_and_not_nan(name):
    assert OF_A_GROUP[name](torch.ones(4)).tolist() == [0.0] * 4


@pytest.mark.parametrize("name", OF_A_GROUP)
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
