"""Rewards -> advantages. Pure functions; rewards of groups in which all are equal give zeros."""

from collections.abc import Sequence

import torch
from torch import Tensor

EPSILON = 1e-6  # keeps a group of equal rewards at zero instead of 0 / 0


def group_mean(rewards: Tensor) -> Tensor:
    """Reward minus the mean of its group: keeps reward units (Dr. GRPO, arXiv:2503.20783).

    Args:
        rewards: [G] float, rewards of G rollouts of the same task.

    Returns:
        [G] float that sums to zero.

    Raises:
        ValueError: fewer than two rewards: a lone rollout would be its own baseline.
    """
    if rewards.numel() < 2:
        raise ValueError(f"a group baseline needs at least 2 rollouts, got {rewards.numel()}")
    return rewards - rewards.mean()


def group_std(rewards: Tensor) -> Tensor:
    """`group_mean` over the group's unbiased standard deviation (GRPO, arXiv:2402.03300, 4.1.2).

    Easy and hard tasks then weigh alike.
    """
    return group_mean(rewards) / (rewards.std(correction=1) + EPSILON)


def leave_one_out(rewards: Tensor) -> Tensor:
    """Reward minus the mean of the others in its group (RLOO, arXiv:2402.14740).

    An unbiased baseline, since no reward is part of its own: `group_mean` times G / (G - 1).
    """
    size = rewards.numel()
    return group_mean(rewards) * (size / (size - 1))


def batch_std(groups: Sequence[Tensor]) -> list[Tensor]:
    """`group_mean` of each group over the unbiased standard deviation of all of them together.

    Tasks keep their weight relative to each other; only the scale of the whole step is fixed.

    Args:
        groups: [G] float each; those whose rewards differ, as in ScaleRL: groups without signal
            would shrink the deviation as the policy gets better.

    Source: REINFORCE++ with a group baseline (arXiv:2501.03262); ScaleRL (arXiv:2510.13786).
    """
    if not groups:
        return []
    centred = [group_mean(group) for group in groups]
    deviation = torch.cat(centred).std(correction=1) + EPSILON
    return [group / deviation for group in centred]


def gae(
    rewards: Tensor, values: Tensor, discount: float, decay: float, last_value: float = 0.0
) -> Tensor:
    """Generalised advantage estimation over the tokens of one answer (arXiv:1506.02438, eq. 16).

    Args:
        rewards: [L] float, the reward that follows each token; often 0 but for the last one.
        values: [L] float, the value of the state before each token.
        discount: gamma, of later rewards.
        decay: lambda; 0 trusts the next value (least variance), 1 the rewards alone (no bias).
        last_value: of the state after the last token; 0 where the answer has ended.

    Returns:
        [L] float. Added to `values` they are the critic's targets.
    """
    following = torch.cat([values[1:], values.new_tensor([last_value])])
    surprises = (rewards + discount * following - values).tolist()
    found, running = [], 0.0
    for surprise in reversed(surprises):
        running = surprise + discount * decay * running
        found.append(running)
    return values.new_tensor(found[::-1])


# Estimators that look at one group, by recipe.algorithm.advantage.
OF_A_GROUP = {
    "group_mean": group_mean,
    "group_std": group_std,
    "leave_one_out": leave_one_out,
    "none": torch.zeros_like,
}


def step_advantages(estimator: str, groups: Sequence[Tensor]) -> list[Tensor]:
    """Advantages of a step's groups, [G] each, by recipe.algorithm.advantage."""
    if estimator == "batch_std":
        return batch_std(groups)
    return [OF_A_GROUP[estimator](group) for group in groups]
