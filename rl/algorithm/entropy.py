"""Entropy of the policy over the next token, and the coefficient that keeps it at a target."""

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

# Logits looked at together, 16 MiB of float32: what is made on the way is never larger.
LOGITS_AT_ONCE = 2**22


def entropies(logits: Tensor, *, differentiable: bool) -> Tensor:
    """[N, vocabulary] -> [N] nats, a few rows at a time.

    Args:
        differentiable: False costs no memory beyond the parts. True keeps the logits themselves for
            the backward pass, and makes the rest again there.
    """
    rows = logits.split(max(1, LOGITS_AT_ONCE // logits.shape[-1]))
    if differentiable:
        return torch.cat([checkpoint(_entropies, part, use_reentrant=False) for part in rows])
    with torch.no_grad():
        return torch.cat([_entropies(part) for part in rows])


def _entropies(logits: Tensor) -> Tensor:
    logprobs = logits.log_softmax(-1)
    return -(logprobs.exp() * logprobs).sum(-1)


def adapted(coef: float, entropy: float, target: float, step: float) -> float:
    """The coefficient after an update in which the policy had `entropy`; never below 0.

    It rises by `step` while the entropy is below its target and falls by as much above, so that
    the bonus is no stronger than the target needs and vanishes where the policy keeps to it alone.

    Source: adaptive entropy control of Skywork-OR1 (arXiv:2505.22312).
    """
    return max(0.0, coef + (step if entropy < target else -step))
