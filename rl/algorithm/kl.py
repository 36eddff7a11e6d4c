"""Pulls towards a frozen policy, token by token, as pure functions of log-probabilities.

All tensors are [N]: `logprobs` of the current policy (differentiable), `rollout_logprobs` of the
sampler at sampling time, `frozen_logprobs` of a model that does not learn: a reference or a
teacher. Each looks at the sampled token alone, so each is an estimate of KL(policy || frozen) or of
its gradient, for the distribution over the next token after each prefix that was sampled. The four
estimators differ in whose gradient they have when they are minimised:

    k1        in the advantage, see `towards`: that of the KL. In the loss its expected gradient on
              policy would be zero, whatever the frozen model says.
    k2        that of the KL where sampler and learner are the same policy
    k3        that of the other direction, KL(frozen || policy), where they are the same policy
    unbiased  that of the KL, however old the sampler's weights are

Source of k1 to k3: http://joschu.net/blog/kl-approx.html; their gradients follow by hand and are
tested against exact ones.
"""

import torch
from torch import Tensor

from rl.algorithm.ratio import log_ratio


def towards(rollout_logprobs: Tensor, frozen_logprobs: Tensor, loss_mask: Tensor) -> Tensor:
    """[N] nats, no gradient: log of how much likelier the frozen model finds each sampled token.

    As an advantage it makes the policy gradient that of -KL(policy || frozen): it is positive where
    the policy should do more of what it did. Its mean over tokens is an unbiased estimate of -KL of
    the sampler. Only the token itself is judged, not those it led to (a discount of zero).

    Source: on-policy distillation, https://thinkingmachines.ai/blog/on-policy-distillation/;
    students that learn on their own samples: GKD (arXiv:2306.13649).
    """
    return log_ratio(frozen_logprobs, rollout_logprobs, loss_mask).detach()


def k2(logprobs: Tensor, frozen_logprobs: Tensor, loss_mask: Tensor) -> Tensor:
    """[N]: half the squared log-ratio; 0 where masked."""
    return 0.5 * log_ratio(frozen_logprobs, logprobs, loss_mask).square()


def k3(logprobs: Tensor, frozen_logprobs: Tensor, loss_mask: Tensor) -> Tensor:
    """[N] nats, never negative: q - 1 - log q, q = frozen / current probability; 0 where masked.

    Its gradient at a token that the frozen model finds much likelier is as large as q.
    """
    difference = log_ratio(frozen_logprobs, logprobs, loss_mask)
    return torch.expm1(difference) - difference


def unbiased(
    logprobs: Tensor, rollout_logprobs: Tensor, frozen_logprobs: Tensor, loss_mask: Tensor
) -> Tensor:
    """[N] nats: k3 times the ratio current / sampler, through which it is differentiated too.

    Source: DeepSeek-V3.2 (arXiv:2512.02556, eq. 7).
    """
    ratio = log_ratio(logprobs, rollout_logprobs, loss_mask).exp()
    return ratio * k3(logprobs, frozen_logprobs, loss_mask)
