"""Per-token figures of an update, put together over micro-batches and ranks."""

import torch
from torch import Tensor

from rl.learner.batch import Batch
from rl.learner.microbatch import MicroBatch
from rl.learner.ranks import Ranks
from rl.types import TokenFigures


class TokenRecord:
    """The first `most` trained tokens of a batch, the same on every rank."""

    def __init__(self, batch: Batch, most: int) -> None:
        trained = batch.loss_mask.nonzero().squeeze(1)[:most]
        self._end = int(trained[-1]) + 1 if len(trained) else 0  # in the batch
        self._trained = trained
        self._found = torch.zeros(2, self._end)  # log ratios and advantages, 0 where masked

    def add(self, micro: MicroBatch, logprobs: Tensor, advantages: Tensor) -> None:
        """Take what of the record is in this micro-batch; both [N], no gradient."""
        source = micro.source.cpu()
        wanted = micro.loss_mask.cpu() & (source < self._end)
        ratios = logprobs - micro.rollout_logprobs
        found = torch.stack([ratios.float(), advantages.float()]).cpu()
        self._found[:, source[wanted]] = found[:, wanted]

    def figures(self, ranks: Ranks) -> TokenFigures | None:
        """All of it; every rank calls this. None: nothing is recorded."""
        if not self._end:
            return None
        ranks.add_up(self._found)
        log_ratios, advantages = self._found[:, self._trained].tolist()
        return TokenFigures(log_ratios, advantages)
