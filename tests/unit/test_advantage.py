import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rl.advantage import ADVANTAGES, group_mean, group_std

REWARDS = [1.0, 0.0, 0.0, 1.0]


@pytest.mark.parametrize(
    ("estimator", "expected"),
    [(group_mean, [0.5, -0.5, -0.5, 0.5]), (group_std, [0.866024, -0.866024, -0.866024, 0.866024])],
)
def test_advantages_equal_the_reference_vectors(estimator, expected):
    found = estimator(torch.tensor(REWARDS, dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor(expected).double(), rtol=0, atol=1e-6)


def test_one_success_in_four_by_hand():
    # mean 1/4; unbiased variance (3 * (1/4)^2 + (3/4)^2) / 3 = 1/4, so the deviation is 1/2
    found = group_std(torch.tensor([0.0, 0.0, 0.0, 1.0]))
    torch.testing.assert_close(found, torch.tensor([-0.5, -0.5, -0.5, 1.5]), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ADVANTAGES)
def test_equal_rewards_give_zeros_and_not_nan(name):
    assert ADVANTAGES[name](torch.ones(4)).tolist() == [0.0] * 4


@pytest.mark.parametrize("name", ADVANTAGES)
def test_a_lone_rollout_has_no_baseline(name):
    with pytest.raises(ValueError, match="at least 2 rollouts, got 1"):
        ADVANTAGES[name](torch.ones(1))


@pytest.mark.parametrize("name", ADVANTAGES)
@given(rewards=st.lists(st.floats(-10, 10), min_size=2, max_size=32))
def test_advantages_sum_to_zero_and_keep_the_order_of_the_rewards(name, rewards):
    found = ADVANTAGES[name](torch.tensor(rewards, dtype=torch.float64))
    assert abs(found.sum().item()) < 1e-6
    order = sorted(range(len(rewards)), key=rewards.__getitem__)
    assert (found[order].diff() >= 0).all()
