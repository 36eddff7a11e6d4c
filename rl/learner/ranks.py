"""How learner ranks find each other and speak: numbers and tensors only, nothing is unpickled."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import IntEnum
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from rl.errors import UserError
from rl.learner.batch import Batch

# A follower waits for its next command as long as rank 0 samples and evaluates. The supervisor
# ends it when rank 0 dies, and a lost connection ends the wait at once.
COMMAND_DEADLINE = timedelta(days=30)

# Ranks that import at different speeds wait for the slowest of them once, at the start.
START_DEADLINE = timedelta(minutes=10)


class RanksError(UserError):
    """The learner's ranks did not find each other, or lost each other."""


class Command(IntEnum):
    UPDATE = 1
    LOGPROBS = 2
    WEIGHTS = 3
    SAVE = 4
    LOAD = 5
    STOP = 6


class Ranks:
    """This process among the learner's ranks, in torch's default process group.

    With one rank there is no network and no environment variable is needed; with more, MASTER_ADDR
    and MASTER_PORT say where rank 0 listens. Waits for the other ranks, at most START_DEADLINE;
    from then on no wait but that for a command is longer than `deadline_s`.

    Raises:
        RanksError: the others did not come in time.
    """

    def __init__(self, rank: int, world_size: int, deadline_s: float) -> None:
        self.rank = rank
        self.world_size = world_size
        self.deadline_s = deadline_s
        names = ("RANK", "LOCAL_RANK", "WORLD_SIZE")
        self._environment_before = {name: os.environ.get(name) for name in names}
        # DeepSpeed reads them.
        local = int(os.environ.setdefault("LOCAL_RANK", str(rank)))
        os.environ.update(RANK=str(rank), WORLD_SIZE=str(world_size))
        cuda = torch.cuda.is_available()
        self.device = torch.device("cuda", local) if cuda else torch.device("cpu")
        if cuda:
            torch.cuda.set_device(self.device)
        backend = "cpu:gloo,cuda:nccl" if cuda else "gloo"
        timeout = timedelta(seconds=deadline_s)
        if world_size == 1:
            dist.init_process_group(
                backend, store=dist.HashStore(), rank=0, world_size=1, timeout=timeout
            )
            return
        with self.waiting("start"):
            host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
            store = dist.TCPStore(host, port, world_size, rank == 0, timeout=START_DEADLINE)
            dist.init_process_group(
                backend, store=store, rank=rank, world_size=world_size, timeout=timeout
            )
            # A deadline is each rank's own: only those who wait for rank 0 may wait so long.
            commands = timeout if rank == 0 else COMMAND_DEADLINE
            self._commands: Any = dist.new_group(backend="gloo", timeout=commands)

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Say what the ranks were at when one of them was lost."""
        try:
            yield
        except RuntimeError as error:
            lost = isinstance(error, dist.DistError) or "gloo" in str(error).lower()
            if self.world_size == 1 or not lost:
                raise
            raise RanksError(
                f"learner rank {self.rank} of {self.world_size} lost the others at: {what} "
                f"({str(error).splitlines()[0]}). One of them died or took longer than "
                f"learner.collective_deadline_s={self.deadline_s:g}; the other ranks' logs say why"
            ) from error

    def announce(self, command: Command, *numbers: int) -> None:
        """From rank 0: what the followers do next, and up to three numbers that go with it.

        Waits until each has taken it.
        """
        if self.world_size > 1:
            header = torch.tensor([command, *numbers, *[0] * (3 - len(numbers))])
            with self.waiting(f"the command to {command.name.lower()}"):
                dist.broadcast(header, src=0, group=self._commands)

    def next_command(self) -> tuple[Command, int, int, int]:
        """Waits, for as long as rank 0 lives, for its next announcement."""
        header = torch.zeros(4, dtype=torch.int64)
        with self.waiting("waiting for rank 0's next command"):
            dist.broadcast(header, src=0, group=self._commands)
        command, first, second, third = header.tolist()
        return Command(command), first, second, third

    def share(self, tensor: Tensor) -> Tensor:
        """Rank 0's tensor, on the CPU, to every rank: the others pass one of the same shape."""
        if self.world_size > 1 and tensor.numel():
            dist.broadcast(tensor, src=0)
        return tensor

    def share_text(self, text: str | None, length: int) -> str:
        """Rank 0's text of `length` bytes to every rank; the others pass None."""
        data = bytearray(text.encode() if text is not None else bytes(length))
        return bytes(self.share(torch.frombuffer(data, dtype=torch.uint8)).tolist()).decode()

    def share_batch(
        self,
        batch: Batch | None,
        length: int,
        denominator: int,
        n_tokens: int,
        routes_per_token: int = 0,
    ) -> Batch:
        """Rank 0's batch of `length` tokens to every rank; the others pass None."""
        if self.world_size == 1 and batch is not None:
            return batch
        if batch is None:
            whole, real = torch.zeros(4, length, dtype=torch.int64), torch.zeros(4, length)
        else:
            answers = batch.answers
            if answers is None:
                answers = (batch.positions == 0).cumsum(0) - 1
            whole = torch.stack([batch.tokens, batch.positions, batch.loss_mask.long(), answers])
            real = torch.stack(
                [batch.rollout_logprobs, batch.advantages, batch.weights, batch.rewards]
            )
        self.share(whole)
        self.share(real)
        routes = None
        if routes_per_token:
            routes = batch.routes if batch is not None else None
            if routes is None:
                routes = torch.zeros(length, routes_per_token, dtype=torch.uint8)
            self.share(routes)
        tokens, positions, mask, answers = whole
        logprobs, advantages, weights, rewards = real
        return Batch(
            tokens=tokens,
            positions=positions,
            loss_mask=mask.bool(),
            rollout_logprobs=logprobs,
            advantages=advantages,
            weights=weights,
            rewards=rewards,
            denominator=denominator,
            n_tokens=n_tokens,
            answers=answers,
            routes=routes,
        )

    def reduce(self, sums: Tensor, maxima: Tensor) -> tuple[list[float], list[float]]:
        """Over the ranks: the sum of `sums` and the maximum of `maxima`, both [n] float64."""
        if self.world_size > 1:
            dist.all_reduce(sums)
            dist.all_reduce(maxima, op=dist.ReduceOp.MAX)
        return sums.tolist(), maxima.tolist()

    def neighbours(self, size: int) -> dist.ProcessGroup | None:
        """The group of `size` ranks in a row that this one is in; None: it is alone.

        Every rank calls it at the same point. Waits in the group have the ranks' deadline.
        """
        if size == 1:
            return None
        timeout = timedelta(seconds=self.deadline_s)
        firsts = range(0, self.world_size, size)
        groups: list[Any] = [
            dist.new_group(list(range(i, i + size)), timeout=timeout) for i in firsts
        ]
        return groups[self.rank // size]

    def add_up(self, tensor: Tensor) -> None:
        """Put the sum over the ranks in its place on every rank."""
        if self.world_size > 1:
            dist.all_reduce(tensor)

    def leave(self) -> None:
        """End the process group; the environment is again what it was before."""
        dist.destroy_process_group()
        for name, value in self._environment_before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
