"""What a critic learns by, and how well it does: pure functions of tensors, see loss.py."""

import torch
from torch import Tensor

from rl.algorithm.loss import TokenLoss


def squared_error(
    values: Tensor,
    targets: Tensor,
    loss_mask: Tensor,
    *,
    old_values: Tensor,
    value_clip: float | None,
) -> TokenLoss:
    """(value - target)^2 / 2, and with `value_clip` that of the value held near the old one.

    The larger of the two counts: a value that has moved by more than the clip, and towards the
    target, is not moved further.

    Args:
        values: [N], of the state before each token; differentiable.
        targets: [N].
        loss_mask: [N] bool.
        old_values: [N], `values` before the step's first update.
        value_clip: reward units; None: no bound.

    Source: the clip is that of PPO's implementations (arXiv:2005.12729, section 3).
    """
    safe = torch.where(loss_mask, values, 0.0)
    targets = torch.where(loss_mask, targets, 0.0)
    error = (safe - targets).square()
    held_back = torch.zeros_like(loss_mask)
    if value_clip is not None:
        old = torch.where(loss_mask, old_values, 0.0)
        bounded = old + (safe - old).clamp(-value_clip, value_clip)
        clipped = (bounded - targets).square()
        held_back = loss_mask & (bounded != safe) & (clipped > error)
        error = torch.maximum(error, clipped)
    return TokenLoss(error / 2, held_back)


def explained_variance(values: Tensor, targets: Tensor) -> float:
    """1 - variance of what is left / variance of the targets, both [N].

    1: the critic knows every target; 0: it knows no more than their mean; below: less. Not a number
    where all targets are the same, since there is nothing to explain.
    """
    spread = targets.double().var(correction=0)
    left = (targets.double() - values.double()).var(correction=0)
    return float(1 - left / spread) if spread > 0 else float("nan")
