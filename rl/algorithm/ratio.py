"""The one ratio, exp(current - rollout log-probability): of tokens, of answers, and how far it is
from 1. It covers staleness and any mismatch between sampler and learner alike.

N is the number of tokens given to one call: all of a step, or the part that one rank holds in one
micro-batch. Answers are never split over calls.
"""

from typing import NamedTuple

import torch
from torch import Tensor

# e^20 is far outside any trust region. Without a bound float32 overflows at e^89, and the clipped
# branch then has the gradient 0 * inf = NaN.
MAX_LOG_RATIO = 20.0


class Mismatch(NamedTuple):
    """How far the current policy is from the one that sampled, over the unmasked tokens."""

    kl_sum: Tensor  # scalar, nats: KL(sampler || current), k3 estimate; never negative
    diff_sum: Tensor  # scalar, nats: sum of |current - sampler|
    diff_max: Tensor  # scalar, nats
    ratio_max: Tensor  # scalar: largest exp(current - sampler); 0 without tokens
    prob_diff_max: Tensor  # scalar, 0 to 1: largest |difference| of the two probabilities


def log_ratio(logprobs: Tensor, rollout_logprobs: Tensor, loss_mask: Tensor) -> Tensor:
    """[N] nats: current minus sampler, 0 where masked, bounded by `MAX_LOG_RATIO`.

    The mask is applied to the difference, before any exponential: whatever stands at a masked
    token, infinities included, reaches neither the value nor the gradient.
    """
    difference = torch.where(loss_mask, logprobs - rollout_logprobs, 0.0)
    return difference.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)


def sequence_mean(values: Tensor, loss_mask: Tensor, sequence: Tensor) -> Tensor:
    """[N]: for each token the mean of `values` over the unmasked tokens of its sequence.

    Args:
        values: [N]; differentiable. Finite where masked.
        sequence: [N] int64, the number of each token's sequence, from 0 without gaps.

    Summed in float64: 30,000 float32 numbers added one by one lose the digits that a clip of 3e-4
    looks at. 0 for a sequence of which everything is masked.
    """
    zeros = values.new_zeros(len(values), dtype=torch.float64)
    sums = zeros.index_add(0, sequence, torch.where(loss_mask, values, 0.0).double())
    counts = zeros.index_add(0, sequence, loss_mask.double())
    means = sums / counts.clamp(min=1)
    return means.index_select(0, sequence).to(values.dtype)


@torch.no_grad()
def mismatch(logprobs: Tensor, rollout_logprobs: Tensor, loss_mask: Tensor) -> Mismatch:
    """Sums and maxima over the unmasked tokens, so that parts of a step can be put together.

    All three [N]. The k3 estimate r - 1 - log r of KL(sampler || current), with r the ratio
    current / sampler, is from http://joschu.net/blog/kl-approx.html.
    """
    difference = torch.where(loss_mask, logprobs - rollout_logprobs, 0.0)
    bounded = difference.clamp(-MAX_LOG_RATIO, MAX_LOG_RATIO)
    ratio = bounded.exp()
    distance = difference.abs()
    moved = torch.where(loss_mask, logprobs.exp() - rollout_logprobs.exp(), 0.0).abs()
    zero = distance.new_zeros(1)
    return Mismatch(
        kl_sum=(torch.expm1(bounded) - bounded).sum(),
        diff_sum=distance.sum(),
        diff_max=torch.cat([distance, zero]).max(),
        ratio_max=torch.cat([torch.where(loss_mask, ratio, 0.0), zero]).max(),
        prob_diff_max=torch.cat([moved, zero]).max(),
    )
