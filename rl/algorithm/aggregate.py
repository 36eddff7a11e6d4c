"""How token losses become the loss of a step: sum of weight x loss over tokens, over a denominator.

Weights and denominator are fixed on rank 0 from the whole step, before it is split: the parts of a
step then add up to the loss of the whole, however it is split over micro-batches and ranks. They
count every valid answer, those of groups without signal too, so that the step's size does not
shrink as the policy gets better.
"""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

Lengths = Sequence[Sequence[int]]  # per group, the sampled tokens of each valid answer; each >= 1


class Aggregation(NamedTuple):
    weights: list[list[float]]  # per group and answer: of each of its tokens
    denominator: int  # of the whole step


def by_token(lengths: Lengths) -> Aggregation:
    """Every token of the step counts alike (DAPO, arXiv:2503.14476, eq. 8)."""
    return Aggregation([[1.0] * len(group) for group in lengths], sum(map(sum, lengths)))


def by_sequence(lengths: Lengths) -> Aggregation:
    """Every answer counts alike, whatever its length (GRPO, arXiv:2402.03300, eq. 3)."""
    return Aggregation([[1 / n for n in group] for group in lengths], sum(map(len, lengths)))


def by_prompt(lengths: Lengths) -> Aggregation:
    """Every task counts alike, and within it every token (ScaleRL, arXiv:2510.13786)."""
    weights = [[1 / sum(group) for _ in group] for group in lengths]
    return Aggregation(weights, sum(bool(group) for group in lengths))


def by_constant(lengths: Lengths, tokens: int) -> Aggregation:
    """The mean over answers of the sum over their tokens / `tokens` (Dr. GRPO, arXiv:2503.20783).

    A token then weighs the same in every step, however long the answers are.
    """
    return Aggregation([[1.0] * len(group) for group in lengths], tokens * sum(map(len, lengths)))


def add_up(loss: Tensor, weights: Tensor, denominator: int) -> Tensor:
    """Scalar: this call's part of the step's loss. `loss`, `weights`: [N]."""
    return (loss * weights).sum() / denominator
