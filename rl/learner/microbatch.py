"""A batch in parts: which rank computes which sequences in which forward and backward pass."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from rl.learner.attention import Segments, segments
from rl.learner.batch import Batch

Plan = list[list[list[int]]]  # [rank][pass] -> sequences, longest first; may be empty


class MicroBatch(NamedTuple):
    """One forward and backward pass: T packed tokens, N of them trained."""

    tokens: Tensor  # [T] int64
    positions: Tensor  # [T] int64
    segments: Segments
    rows: Tensor  # [N] int64: the token before each trained one
    targets: Tensor  # [N] int64
    loss_mask: Tensor  # [N] bool; false only in an empty pass
    rollout_logprobs: Tensor  # [N] float32
    advantages: Tensor  # [N] float32
    weights: Tensor  # [N] float32
    sequence: Tensor  # [N] int64: which answer of this pass, from 0 without gaps
    source: Tensor  # [N] int64: where in the batch
    routes: Tensor | None = None  # [T, layers * experts per token] uint8

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Segments, Tensor, Tensor]:
        """What the policy's forward pass takes."""
        return self.tokens, self.positions, self.segments, self.rows, self.targets


def sequence_lengths(batch: Batch) -> list[int]:
    """Tokens of each sequence.

    Raises:
        ValueError: a first token is marked as sampled: nothing of its sequence predicts it.
    """
    starts = (batch.positions == 0).nonzero().squeeze(1)
    if batch.loss_mask[starts].any():
        raise ValueError("a batch marks the first token of a sequence as sampled")
    ends = torch.cat([starts[1:], starts.new_tensor([len(batch.tokens)])])
    return (ends - starts).tolist() if len(starts) else []


def sequence_answers(batch: Batch) -> list[int]:
    """Of each sequence the number of the answer that it is, or is a chunk of."""
    starts = (batch.positions == 0).nonzero().squeeze(1)
    return list(range(len(starts))) if batch.answers is None else batch.answers[starts].tolist()


def plan(lengths: list[int], ranks: int, budget: int, answers: list[int] | None = None) -> Plan:
    """Share sequences out over the ranks, and each rank's over passes of at most `budget` tokens.

    With sequence parallelism a group of ranks takes the place of one.

    Every rank gets the same number of passes, at least one, since ranks wait for each other in
    every pass when weights or gradients are split over them; some may be empty. A sequence longer
    than the budget goes alone. Equal arguments give equal plans, so every rank makes its own.

    Args:
        answers: of each sequence; those with the same number stay together in one pass. None: each
            may go where it fits.
    """
    together: dict[int, list[int]] = {}
    for sequence, answer in enumerate(answers or range(len(lengths))):
        together.setdefault(answer, []).append(sequence)
    sizes = {answer: sum(lengths[i] for i in own) for answer, own in together.items()}
    loads = [0] * ranks
    passes: list[list[list[int]]] = [[] for _ in range(ranks)]
    fill: list[list[int]] = [[] for _ in range(ranks)]  # tokens in each pass
    for answer in sorted(together, key=lambda answer: -sizes[answer]):
        length = sizes[answer]
        rank = loads.index(min(loads))
        loads[rank] += length
        free = (i for i, tokens in enumerate(fill[rank]) if tokens + length <= budget)
        place = next(free, len(fill[rank]))
        if place == len(fill[rank]):
            passes[rank].append([])
            fill[rank].append(0)
        passes[rank][place] += together[answer]
        fill[rank][place] += length
    for own in passes:
        for sequences in own:
            sequences.sort(key=lambda i: -lengths[i])
    most = max(1, *map(len, passes))
    return [own + [[]] * (most - len(own)) for own in passes]


def take(
    batch: Batch, lengths: list[int], sequences: list[int], multiple_of: int = 1
) -> MicroBatch:
    """The sequences of one pass, laid end to end in the given order: longest first.

    As many sequences of one meaningless token follow as make T a multiple of `multiple_of`.
    """
    micro = _laid_out(batch, lengths, sequences) if sequences else _empty()
    missing = -len(micro.tokens) % multiple_of
    if not missing:
        return micro
    own = [lengths[i] for i in sequences] or [len(micro.tokens)]
    nothing = micro.tokens.new_zeros(missing)
    return micro._replace(
        tokens=torch.cat([micro.tokens, nothing]),
        positions=torch.cat([micro.positions, nothing]),
        segments=segments(own + [1] * missing),
        routes=None if micro.routes is None else pad(micro.routes, (0, 0, 0, missing)),
    )


def _laid_out(batch: Batch, lengths: list[int], sequences: list[int]) -> MicroBatch:
    real = torch.tensor(lengths)
    own = real[sequences]
    starts = (real.cumsum(0) - real)[sequences]
    offset = (starts - (own.cumsum(0) - own)).repeat_interleave(own)
    index = torch.arange(len(offset)) + offset
    trained = batch.loss_mask[index].nonzero().squeeze(1)
    source = index[trained]
    answers = sequences if batch.answers is None else batch.answers[starts].tolist()
    numbers: dict[int, int] = {}
    numbered = torch.tensor([numbers.setdefault(answer, len(numbers)) for answer in answers])
    _, sequence = numbered.repeat_interleave(own)[trained].unique(return_inverse=True)
    return MicroBatch(
        tokens=batch.tokens[index],
        positions=batch.positions[index],
        segments=segments(own.tolist()),
        rows=trained - 1,
        targets=batch.tokens[source],
        loss_mask=torch.ones(len(trained), dtype=torch.bool),
        rollout_logprobs=batch.rollout_logprobs[source],
        advantages=batch.advantages[source],
        weights=batch.weights[source],
        sequence=sequence,
        source=source,
        routes=None if batch.routes is None else batch.routes[index],
    )


def _empty() -> MicroBatch:
    """A pass of two tokens that takes part in every collective and adds zero to everything."""
    return MicroBatch(
        tokens=torch.zeros(2, dtype=torch.int64),
        positions=torch.arange(2),
        segments=segments([2]),
        rows=torch.zeros(1, dtype=torch.int64),
        targets=torch.zeros(1, dtype=torch.int64),
        loss_mask=torch.zeros(1, dtype=torch.bool),
        rollout_logprobs=torch.zeros(1),
        advantages=torch.zeros(1),
        weights=torch.zeros(1),
        sequence=torch.zeros(1, dtype=torch.int64),
        source=torch.zeros(1, dtype=torch.int64),
    )


def to_device(micro: MicroBatch, device: torch.device) -> MicroBatch:
    if device.type == "cpu":
        return micro
    plan = micro.segments
    moved = replace(
        plan,
        pad=None if plan.pad is None else plan.pad.to(device),
        unpad=None if plan.unpad is None else plan.unpad.to(device),
    )
    tensors = {k: x.to(device) for k, x in micro._asdict().items() if isinstance(x, Tensor)}
    return micro._replace(**tensors, segments=moved)


@dataclass(frozen=True, slots=True)
class Share:
    """What one rank computes of a batch. Iterating gives its micro-batches, the last one marked;
    it can be done as often as the step needs."""

    batch: Batch
    lengths: list[int]  # of the batch's sequences
    passes: list[list[int]]  # this rank's row of the plan
    device: torch.device
    multiple_of: int = 1  # so many tokens a pass is padded to

    def __iter__(self) -> Iterator[tuple[MicroBatch, bool]]:
        for i, sequences in enumerate(self.passes):
            micro = take(self.batch, self.lengths, sequences, multiple_of=self.multiple_of)
            yield to_device(micro, self.device), i == len(self.passes) - 1

    def with_advantages(self, advantages: Tensor) -> "Share":
        """The same with other advantages, [T] float32."""
        return replace(self, batch=self.batch._replace(advantages=advantages))
