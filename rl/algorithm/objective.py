"""Where the recipe's algorithm meets the tensors: correction, loss, what pulls, aggregation."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from rl.algorithm import correction, kl, loss
from rl.algorithm.aggregate import add_up
from rl.algorithm.loss import TokenLoss
from rl.learner.microbatch import MicroBatch
from rl.recipe.algorithm import LOSS_NUMBERS, RATIO_OF_ANSWERS, Algorithm

LOSSES: dict[str, Callable[..., TokenLoss]] = {
    "clip": loss.clip,
    "gspo": loss.gspo,
    "gmpo": loss.gmpo,
    "sapo": loss.sapo,
    "dppo": loss.dppo,
    "reinforce": loss.reinforce,
}


class Contribution(NamedTuple):
    """What one micro-batch adds to the step."""

    loss: Tensor  # scalar; differentiable
    clipped: Tensor  # scalar: tokens
    masked: Tensor  # scalar: trained tokens that the correction left out
    advantages: Tensor  # [N] of the tokens, with what frozen policies added


class Guides(NamedTuple):
    """[N] natural log, no gradient, of micro.targets under frozen policies; None: there is none."""

    reference: Tensor | None = None
    teacher: Tensor | None = None


class Bonus(NamedTuple):
    """What entropy earns."""

    coef: float
    entropies: Tensor  # [N] nats, of the current policy; differentiable


def contribution(
    algorithm: Algorithm,
    logprobs: Tensor,
    micro: MicroBatch,
    denominator: int,
    guides: Guides = Guides(),  # noqa: B008  (immutable)
    teacher_coef: float = 0.0,
    bonus: Bonus | None = None,
) -> Contribution:
    """The algorithm's loss on one micro-batch; those of a step's micro-batches add up to its loss.

    Args:
        logprobs: [N] natural log, of micro.targets under the current policy; differentiable.
        denominator: of the whole step.
        teacher_coef: the recipe's teacher.coef; unused without a teacher.
    """
    kept = kept_tokens(algorithm, logprobs, micro)
    guided = guided_advantages(algorithm, micro, kept, guides, teacher_coef)
    found = token_losses(algorithm, logprobs, guided, kept)
    per_token = found.loss
    if algorithm.log_ratio_coef:
        pull = loss.squared_log_ratio(logprobs, micro.rollout_logprobs, kept)
        per_token = per_token + algorithm.log_ratio_coef * pull
    if guides.reference is not None and algorithm.kl_estimator != "k1":
        pull = reference_kl(algorithm, logprobs, micro, kept, guides.reference)
        per_token = per_token + algorithm.kl_coef * pull
    if bonus is not None:
        per_token = per_token - bonus.coef * torch.where(kept, bonus.entropies, 0.0)
    return Contribution(
        loss=add_up(per_token, micro.weights, denominator),
        clipped=found.clipped.sum(),
        masked=(micro.loss_mask & ~kept).sum(),
        advantages=guided.advantages,
    )


def guided_advantages(
    algorithm: Algorithm, micro: MicroBatch, kept: Tensor, guides: Guides, teacher_coef: float
) -> MicroBatch:
    """The micro-batch with advantages to which the frozen policies have added theirs."""
    advantages = micro.advantages
    if guides.reference is not None and algorithm.kl_estimator == "k1":
        pull = kl.towards(micro.rollout_logprobs, guides.reference, kept)
        advantages = advantages + algorithm.kl_coef * pull
    if guides.teacher is not None:
        pull = kl.towards(micro.rollout_logprobs, guides.teacher, kept)
        advantages = advantages + teacher_coef * pull
    return micro._replace(advantages=advantages)


def reference_kl(
    algorithm: Algorithm, logprobs: Tensor, micro: MicroBatch, kept: Tensor, reference: Tensor
) -> Tensor:
    """[N]: the estimate of KL(policy || reference) that is part of the loss."""
    match algorithm.kl_estimator:
        case "k2":
            return kl.k2(logprobs, reference, kept)
        case "k3":
            return kl.k3(logprobs, reference, kept)
        case "unbiased":
            return kl.unbiased(logprobs, micro.rollout_logprobs, reference, kept)
        case "k1":
            raise ValueError("k1 is part of the advantage: in the loss it has no gradient")


@torch.no_grad()
def distances(guides: Guides, logprobs: Tensor, micro: MicroBatch) -> tuple[Tensor, Tensor]:
    """How far the policy is from its reference and its teacher: sums over the trained tokens, nats.

    Scalars, 0 where there is none. KL(policy || reference) by the k3 estimate, which scatters least
    where the two are near. KL(policy || teacher) by minus what the teacher adds to the advantages:
    far apart k3 hangs on single tokens.
    """
    mask, zero = micro.loss_mask, logprobs.new_zeros(())
    reference = teacher = zero
    if guides.reference is not None:
        reference = kl.k3(logprobs, guides.reference, mask).sum()
    if guides.teacher is not None:
        teacher = -kl.towards(micro.rollout_logprobs, guides.teacher, mask).sum()
    return reference, teacher


def kept_tokens(algorithm: Algorithm, logprobs: Tensor, micro: MicroBatch) -> Tensor:
    """[N] bool: trained tokens that the correction leaves in."""
    kept = micro.loss_mask
    if algorithm.sequence_band is not None:
        low, high = algorithm.sequence_band
        kept = correction.sequence_band(
            logprobs, micro.rollout_logprobs, kept, micro.sequence, low=low, high=high
        )
    if algorithm.token_band is not None:
        low, high = algorithm.token_band
        kept = correction.token_band(logprobs, micro.rollout_logprobs, kept, low=low, high=high)
    return kept


def token_losses(
    algorithm: Algorithm, logprobs: Tensor, micro: MicroBatch, kept: Tensor
) -> TokenLoss:
    """The policy loss of every kept token: the function of that name in rl/algorithm/loss.py, with
    the numbers that the recipe has for it, whose keys are its keywords."""
    tokens = (logprobs, micro.rollout_logprobs, micro.advantages, kept)
    answers = (micro.sequence,) if algorithm.loss in RATIO_OF_ANSWERS else ()
    numbers = {name: getattr(algorithm, name) for name in LOSS_NUMBERS[algorithm.loss]}
    return LOSSES[algorithm.loss](*tokens, *answers, **numbers)
