"""Policy losses as pure functions of tensors: no configuration, no rank, no logging.

Every loss takes the same four tensors, all [N]:
    logprobs          natural log of the current policy's probability of each token; differentiable
    rollout_logprobs  the same of the sampler, at sampling time
    advantages        reward units, or deviations
    loss_mask         bool: sampled by the policy, so trainable
and gives one loss per token, to be minimised. rl/algorithm/aggregate.py says how those are added
up. The ratio r is exp(logprobs - rollout_logprobs), see rl/algorithm/ratio.py. Whatever stands at
a masked token reaches neither value nor gradient.
"""

from typing import NamedTuple

import torch
from torch import Tensor

from rl.algorithm.ratio import log_ratio, sequence_mean


class TokenLoss(NamedTuple):
    loss: Tensor  # [N]; differentiable; 0 where masked
    clipped: Tensor  # [N] bool: a bound acts here, so the ratio moves this token's loss no further


def clip(
    logprobs: Tensor,
    rollout_logprobs: Tensor,
    advantages: Tensor,
    loss_mask: Tensor,
    *,
    clip_low: float,
    clip_high: float,
    clip_dual: float | None = None,
) -> TokenLoss:
    """-min(r A, clip(r, 1 - clip_low, 1 + clip_high) A), PPO's clipped surrogate.

    With `clip_dual` (above 1 + clip_high) r counts up to it where A is negative: without, one token
    that became likely can outweigh the step.

    Source: PPO (arXiv:1707.06347, eq. 7); two distances: DAPO (arXiv:2503.14476, eq. 8); dual clip:
    arXiv:1912.09729, also known as two-sided clipping (arXiv:2505.07291).
    """
    ratio = log_ratio(logprobs, rollout_logprobs, loss_mask).exp()
    return _clipped(ratio, advantages, loss_mask, clip_low, clip_high, clip_dual)


def gspo(
    logprobs: Tensor,
    rollout_logprobs: Tensor,
    advantages: Tensor,
    loss_mask: Tensor,
    sequence: Tensor,  # [N] int64, see `rl.algorithm.ratio.sequence_mean`
    *,
    clip_low: float,
    clip_high: float,
) -> TokenLoss:
    """`clip` on the ratio of the whole answer, the geometric mean of its tokens' ratios.

    Each token carries its answer's loss, so that the mean over the tokens of an answer is it.

    Source: GSPO (arXiv:2507.18071, eq. 5 to 7).
    """
    mean = sequence_mean(log_ratio(logprobs, rollout_logprobs, loss_mask), loss_mask, sequence)
    return _clipped(mean.exp(), advantages, loss_mask, clip_low, clip_high, None)


def _clipped(
    ratio: Tensor,
    advantages: Tensor,
    loss_mask: Tensor,
    clip_low: float,
    clip_high: float,
    clip_dual: float | None,
) -> TokenLoss:
    """-min(r A, bounded r A), with the one bound that matters for each sign of A."""
    advantages = torch.where(loss_mask, advantages, 0.0)
    positive = advantages > 0
    bounded = torch.where(
        positive, ratio.clamp(max=1 + clip_high), ratio.clamp(min=1 - clip_low, max=clip_dual)
    )
    return TokenLoss(-bounded * advantages, (advantages != 0) & (bounded != ratio))


def gmpo(
    logprobs: Tensor,
    rollout_logprobs: Tensor,
    advantages: Tensor,
    loss_mask: Tensor,
    sequence: Tensor,  # [N] int64, see `rl.algorithm.ratio.sequence_mean`
    *,
    clip_nats: float,
) -> TokenLoss:
    """-A times the geometric mean over the answer of its clipped token ratios.

    Each ratio is clipped to e^-clip_nats .. e^clip_nats on the side where clipping makes the
    objective smaller. Each token carries its answer's loss. A must be the same for a whole answer.

    Source: GMPO (arXiv:2507.20673).
    """
    advantages = torch.where(loss_mask, advantages, 0.0)
    difference = log_ratio(logprobs, rollout_logprobs, loss_mask)
    bounded = torch.where(
        advantages > 0, difference.clamp(max=clip_nats), difference.clamp(min=-clip_nats)
    )
    ratio = sequence_mean(bounded, loss_mask, sequence).exp()
    return TokenLoss(-ratio * advantages, (advantages != 0) & (bounded != difference))


def sapo(
    logprobs: Tensor,
    rollout_logprobs: Tensor,
    advantages: Tensor,
    loss_mask: Tensor,
    *,
    gate_positive: float,
    gate_negative: float,
) -> TokenLoss:
    """-A sigmoid(g (r - 1)) 4 / g, with a steepness g for each sign of A: a clip without an edge.

    At r = 1 the gradient is that of -r A, and it fades as r moves away to either side.

    Source: SAPO (arXiv:2511.20347).
    """
    ratio = log_ratio(logprobs, rollout_logprobs, loss_mask).exp()
    up, down = ratio.new_tensor(gate_positive), ratio.new_tensor(gate_negative)
    gate = torch.where(advantages > 0, up, down)
    objective = torch.sigmoid(gate * (ratio - 1)) * 4 / gate * advantages
    return TokenLoss(torch.where(loss_mask, -objective, 0.0), torch.zeros_like(loss_mask))


def dppo(
    logprobs: Tensor,
    rollout_logprobs: Tensor,
    advantages: Tensor,
    loss_mask: Tensor,
    *,
    tv_max: float,
) -> TokenLoss:
    """-r A, and 0 where the token's probability has moved by more than `tv_max` the way A pushes.

    Total variation between the two policies seen as "this token or another": it is the difference
    of the two probabilities. A rare token may so change its ratio freely, a likely one may not.

    Source: DPPO (arXiv:2602.04879), the binary total-variation mask.
    """
    ratio = log_ratio(logprobs, rollout_logprobs, loss_mask).exp()
    with torch.no_grad():
        moved = logprobs.exp() - rollout_logprobs.exp()
        too_far = ((advantages > 0) & (moved > tv_max)) | ((advantages < 0) & (moved < -tv_max))
    loss = torch.where(loss_mask & ~too_far, -ratio * advantages, 0.0)
    return TokenLoss(loss, loss_mask & too_far)


def reinforce(
    logprobs: Tensor,
    rollout_logprobs: Tensor,
    advantages: Tensor,
    loss_mask: Tensor,
    *,
    weight_max: float | None,
) -> TokenLoss:
    """-w A logprobs, the plain policy gradient with importance weight w = min(r, weight_max).

    The weight has no gradient, so no token is ever dropped. None: w = 1, right on policy only.

    Source: REINFORCE (Williams 1992); truncated weights: CISPO (arXiv:2506.13585, eq. 4 and 5).
    """
    safe = torch.where(loss_mask, logprobs, 0.0)
    if weight_max is None:
        return TokenLoss(
            torch.where(loss_mask, -advantages * safe, 0.0), torch.zeros_like(loss_mask)
        )
    ratio = log_ratio(logprobs, rollout_logprobs, loss_mask).exp().detach()
    weight = ratio.clamp(max=weight_max)
    loss = torch.where(loss_mask, -weight * advantages * safe, 0.0)
    return TokenLoss(loss, loss_mask & (ratio > weight_max))


def squared_log_ratio(logprobs: Tensor, rollout_logprobs: Tensor, loss_mask: Tensor) -> Tensor:
    """[N] nats squared, 0 where masked: a pull back towards the policy that sampled.

    Source: Kimi K1.5 (arXiv:2501.12599); K2.5 (arXiv:2602.02276).
    """
    return log_ratio(logprobs, rollout_logprobs, loss_mask).square()
