"""Ulysses sequence parallelism: neighbouring ranks compute a pass together, each some of it.

All but attention looks at one token at a time, so a rank does it for its own tokens only. For
attention the ranks exchange: each gets all tokens of some heads, attends, and gives them back. The
log-probabilities of the whole pass then come to every rank, since the ratio of an answer needs all
of its tokens, and each computes the same loss. The gradient stays split: autograd follows each
rank's own log-probabilities and the exchanges, and the sum over ranks is the gradient of the pass.

Source: DeepSpeed Ulysses (arXiv:2309.14509).
"""

from dataclasses import replace
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from rl.learner.attention import Segments, attend
from rl.learner.deepspeed_engine import shared_attention
from rl.learner.microbatch import MicroBatch
from rl.learner.ranks import Ranks


class Part(NamedTuple):
    """What one rank gives to the policy: T / size tokens in a row, n of them before a target."""

    tokens: Tensor  # [T / size] int64
    positions: Tensor  # [T / size] int64
    segments: Segments  # of all T tokens
    rows: Tensor  # [n] int64, counted from this rank's first token
    targets: Tensor  # [n] int64


class SequenceParallel:
    """The `size` ranks that share every pass with this one. With 1 nothing is split or sent.

    Every rank makes one at the same point.
    """

    def __init__(self, ranks: Ranks, size: int) -> None:
        self.size = size
        self.group, self.index = divmod(ranks.rank, size)  # which group, and which of its ranks
        self._processes = ranks.neighbours(size)
        processes = self._processes
        self._exchange = None if processes is None else shared_attention(attend, processes)

    def part(self, micro: MicroBatch) -> Part:
        """This rank's part of a pass whose number of tokens is a multiple of `size`."""
        if self.size == 1:
            return Part(micro.tokens, micro.positions, micro.segments, micro.rows, micro.targets)
        width = len(micro.tokens) // self.size
        start = self.index * width
        own = (micro.rows >= start) & (micro.rows < start + width)
        return Part(
            micro.tokens[start : start + width],
            micro.positions[start : start + width],
            replace(micro.segments, exchange=self._exchange),
            micro.rows[own] - start,
            micro.targets[own],
        )

    def routes(self, micro: MicroBatch) -> Tensor | None:
        """The experts of this rank's tokens: [T / size, layers * experts per token] uint8."""
        if micro.routes is None:
            return None
        width = len(micro.routes) // self.size
        return micro.routes.narrow(0, self.index * width, width)

    def whole(self, own: Tensor, micro: MicroBatch) -> Tensor:
        """[n, ...], a value for each row of this rank's part -> [N, ...], for each row of the pass.

        Differentiable, for a loss that every rank of the group computes alike from it. Waits for
        the group.
        """
        if self._processes is None:
            return own
        width = len(micro.tokens) // self.size
        counts = (micro.rows // width).bincount(minlength=self.size).tolist()
        return _Join.apply(own, counts, self.index, self._processes)


class _Join(torch.autograd.Function):
    """All ranks' values end to end. Each rank has the whole gradient and takes its part of it."""

    @staticmethod
    def forward(
        ctx: Any, own: Tensor, counts: list[int], index: int, group: dist.ProcessGroup
    ) -> Tensor:
        ctx.start, ctx.count = sum(counts[:index]), counts[index]
        padded = own.new_zeros(max(counts), *own.shape[1:])
        padded[: len(own)] = own
        parts = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(parts, padded, group=group)
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        return gradients[0].narrow(0, ctx.start, ctx.count), None, None, None
