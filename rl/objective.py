"""Where the recipe's algorithm meets the tensors: correction, then loss, then aggregation."""

from typing import NamedTuple

from torch import Tensor

from rl import correction, loss
from rl.aggregate import add_up
from rl.algorithm import Algorithm
from rl.loss import TokenLoss
from rl.microbatch import MicroBatch


class Contribution(NamedTuple):
    """What one micro-batch adds to the step."""

    loss: Tensor  # scalar; differentiable
    clipped: Tensor  # scalar: tokens
    masked: Tensor  # scalar: trained tokens that the correction left out


def contribution(
    algorithm: Algorithm, logprobs: Tensor, micro: MicroBatch, denominator: int
) -> Contribution:
    """The algorithm's loss on one micro-batch; those of a step's micro-batches add up to its loss.

    Args:
        logprobs: [N] natural log, of micro.targets under the current policy; differentiable.
        denominator: of the whole step.
    """
    kept = kept_tokens(algorithm, logprobs, micro)
    found = token_losses(algorithm, logprobs, micro, kept)
    per_token = found.loss
    if algorithm.log_ratio_coef:
        pull = loss.squared_log_ratio(logprobs, micro.rollout_logprobs, kept)
        per_token = per_token + algorithm.log_ratio_coef * pull
    return Contribution(
        loss=add_up(per_token, micro.weights, denominator),
        clipped=found.clipped.sum(),
        masked=(micro.loss_mask & ~kept).sum(),
    )


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
    """The policy loss of every kept token, with the numbers of the recipe."""
    tokens = (logprobs, micro.rollout_logprobs, micro.advantages, kept)
    match algorithm.loss:
        case "clip":
            low, high = _number(algorithm.clip_low), _number(algorithm.clip_high)
            dual = algorithm.clip_dual
            return loss.clip(*tokens, clip_low=low, clip_high=high, clip_dual=dual)
        case "gspo":
            low, high = _number(algorithm.clip_low), _number(algorithm.clip_high)
            return loss.gspo(*tokens, micro.sequence, clip_low=low, clip_high=high)
        case "gmpo":
            return loss.gmpo(*tokens, micro.sequence, clip_nats=_number(algorithm.clip_nats))
        case "sapo":
            up, down = _number(algorithm.gate_positive), _number(algorithm.gate_negative)
            return loss.sapo(*tokens, gate_positive=up, gate_negative=down)
        case "dppo":
            return loss.dppo(*tokens, tv_max=_number(algorithm.tv_max))
        case "reinforce":
            return loss.reinforce(*tokens, weight_max=algorithm.weight_max)


def _number(value: float | None) -> float:
    """A number that the schema has made sure of for its loss."""
    assert value is not None
    return value
