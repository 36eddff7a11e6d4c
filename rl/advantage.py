"""Rewards of one group -> one advantage per rollout."""

from torch import Tensor


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

    Easy and hard tasks then weigh alike. 1e-6 keeps a group of equal rewards at zero instead of
    0 / 0.
    """
    return group_mean(rewards) / (rewards.std(correction=1) + 1e-6)


ADVANTAGES = {"group_mean": group_mean, "group_std": group_std}  # by recipe.algorithm.advantage
