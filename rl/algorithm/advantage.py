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
    rewards: Tensor, values: Tensor, remaining: Tensor, *, discount: float, decay: Tensor
) -> Tensor:
    """Generalised advantage estimation (arXiv:1506.02438, eq. 16) of answers laid end to end.

    An answer is over after its last token, also where that was the last one it was given: nothing
    follows, so what follows has no value.

    Args:
        rewards: [N] float, what is paid after each token; often 0 but for the last of an answer.
        values: [N] float, of the state before each token.
        remaining: [N] int64, tokens of its answer that come after each token.
        discount: gamma, of later rewards.
        decay: [N] float, lambda, the same for all tokens of an answer; 0 trusts the next value
            (least variance), 1 the rewards alone (no bias).

    Returns:
        [N] float64. Added to `values` they are the critic's targets.
    """
    rewards, values, decay = rewards.double(), values.double(), decay.double()
    following = torch.where(remaining > 0, values.roll(-1), 0.0)
    return _discounted_sums(rewards + discount * following - values, remaining, discount * decay)


def _discounted_sums(amounts: Tensor, remaining: Tensor, factor: Tensor) -> Tensor:
    """[N]: of each token and those after it in its answer, the sum of amount x factor^distance.

    Sums over 1, 2, 4, ... tokens, each made of two of the half length: as many passes as the
    longest answer's length has binary digits, where a loop would take as many as it has tokens.
    """
    reach, longest = 1, int(remaining.max()) if len(remaining) else 0
    while reach <= longest:
        amounts = amounts + torch.where(remaining >= reach, factor * amounts.roll(-reach), 0.0)
        factor = factor.square()
        reach *= 2
    return amounts


def tokens_after(lengths: Tensor) -> Tensor:
    """[N] int64: how many tokens of its answer follow each token of answers laid end to end.

    Args:
        lengths: [A] int64, tokens of each answer; N is their sum.
    """
    ends = lengths.cumsum(0).repeat_interleave(lengths)
    return ends - 1 - torch.arange(len(ends))


def length_adaptive(lengths: Tensor, alpha: float) -> Tensor:
    """[A] float64: 1 - 1 / (alpha x length), at least 0: GAE's lambda for each answer.

    1 / (1 - lambda), the number of tokens that an advantage looks ahead, is then alpha x length: a
    fixed lambda would look at the end of short answers only.

    Source: VAPO (arXiv:2504.05118, "Length-adaptive GAE").
    """
    return (1 - 1 / (alpha * lengths.double())).clamp(min=0.0)


def normalized(advantages: Tensor) -> Tensor:
    """[N]: shifted and scaled to mean 0 and (population) standard deviation 1; equal ones to 0."""
    centred = advantages - advantages.mean()
    return centred / (centred.square().mean().sqrt() + EPSILON)


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
