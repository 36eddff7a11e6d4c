"""What is left out because sampler and learner are too far apart there. Pure functions.

Masks decide with the ratio r = exp(logprobs - rollout_logprobs) and have no gradient. What they
leave out still counts in the denominator of the loss. None of them depends on an answer's length:
a product of ratios would, and would leave out long answers only because they are long. Truncated
importance weights, the other correction, are in `rl.algorithm.loss.reinforce`.
"""

import torch
from torch import Tensor

from rl.algorithm.ratio import log_ratio, sequence_mean


@torch.no_grad()
def token_band(
    logprobs: Tensor,  # [N] natural log
    rollout_logprobs: Tensor,  # [N]
    loss_mask: Tensor,  # [N] bool
    *,
    low: float,
    high: float,
) -> Tensor:
    """[N] bool: unmasked tokens with r in [low, high] (IcePop, arXiv:2510.18855)."""
    ratio = log_ratio(logprobs, rollout_logprobs, loss_mask).exp()
    return loss_mask & (ratio >= low) & (ratio <= high)


@torch.no_grad()
def sequence_band(
    logprobs: Tensor,  # [N] natural log
    rollout_logprobs: Tensor,  # [N]
    loss_mask: Tensor,  # [N] bool
    sequence: Tensor,  # [N] int64, see `rl.algorithm.ratio.sequence_mean`
    *,
    low: float,
    high: float,
) -> Tensor:
    """[N] bool: unmasked tokens of answers whose geometric mean of r is in [low, high].

    The geometric mean is the ratio per token: a mismatch of constant size per token gives the same
    value for 500 tokens as for 32,000. Compare GSPO's ratio (arXiv:2507.18071, eq. 7).
    """
    difference = log_ratio(logprobs, rollout_logprobs, loss_mask)
    ratio = sequence_mean(difference, loss_mask, sequence).exp()
    return loss_mask & (ratio >= low) & (ratio <= high)
