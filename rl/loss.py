"""Losses as pure functions of tensors: no configuration, no rank, no logging.

T is the number of tokens given to one call: all of a step, or the part that one rank holds in one
micro-batch. A loss is a sum over tokens divided by a count that the caller takes over the whole
step, so the parts of a step add up to the loss of the whole, however it is split.
"""

from typing import NamedTuple

import torch
from torch import Tensor

# e^20 is far outside any trust region. Without a bound float32 overflows at e^89, and the clipped
# branch then has the gradient 0 * inf = NaN.
MAX_LOG_RATIO = 20.0


class PolicyLoss(NamedTuple):
    loss: Tensor  # scalar; differentiable
    clipped: Tensor  # [T] bool: the token's gradient is zero because the clip is active


class Mismatch(NamedTuple):
    """How far the current policy is from the one that sampled, over the unmasked tokens."""

    kl_sum: Tensor  # scalar, nats: KL(sampler || current), k3 estimate; never negative
    diff_sum: Tensor  # scalar, nats: sum of |current - sampler|
    diff_max: Tensor  # scalar, nats
    ratio_max: Tensor  # scalar: largest exp(current - sampler); 0 without tokens


def log_ratio(logprobs: Tensor, rollout_logprobs: Tensor, loss_mask: Tensor) -> Tensor:
    """Current minus sampler, 0 where masked, bounded by `MAX_LOG_RATIO`.

    The mask is applied to the difference, before any exponential: whatever stands at a masked
    token, infinities included, reaches neither the value nor the gradient.
    """
    difference = torch.where(loss_mask, logprobs - rollout_logprobs, 0.0)
    return difference.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)


def clip_higher(
    logprobs: Tensor,  # [T] natural log, current policy; differentiable
    rollout_logprobs: Tensor,  # [T] natural log, of the sampler at sampling time
    advantages: Tensor,  # [T]
    loss_mask: Tensor,  # [T] bool: sampled by the policy, so trainable
    n_tokens: int,  # sampled tokens of the whole step
    clip_low: float,
    clip_high: float,
) -> PolicyLoss:
    """PPO's clipped surrogate with two clip distances, summed over tokens, over `n_tokens`.

    Source: PPO (arXiv:1707.06347, eq. 7); clip-higher and the token mean are DAPO's
    (arXiv:2503.14476, eq. 8).
    """
    ratio = log_ratio(logprobs, rollout_logprobs, loss_mask).exp()
    unclipped = ratio * advantages
    bounded = ratio.clamp(1 - clip_low, 1 + clip_high) * advantages
    objective = torch.where(loss_mask, torch.minimum(unclipped, bounded), 0.0)
    clipped = loss_mask & (bounded < unclipped)
    return PolicyLoss(-objective.sum() / n_tokens, clipped)


@torch.no_grad()
def mismatch(logprobs: Tensor, rollout_logprobs: Tensor, loss_mask: Tensor) -> Mismatch:
    """Sums and maxima over the unmasked tokens, so that parts of a step can be put together.

    Shapes as in `clip_higher`. The k3 estimate r - 1 - log r of KL(sampler || current), with r the
    ratio current / sampler, is from http://joschu.net/blog/kl-approx.html.
    """
    difference = torch.where(loss_mask, logprobs - rollout_logprobs, 0.0)
    bounded = difference.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    ratio = bounded.exp()
    distance = difference.abs()
    zero = distance.new_zeros(1)
    return Mismatch(
        kl_sum=(torch.expm1(bounded) - bounded).sum(),
        diff_sum=distance.sum(),
        diff_max=torch.cat([distance, zero]).max(),
        ratio_max=torch.cat([torch.where(loss_mask, ratio, 0.0), zero]).max(),
    )
