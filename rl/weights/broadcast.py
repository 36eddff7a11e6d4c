"""New weights from GPU to GPU: vLLM's `nccl` weight transfer, with all rollout servers at once.

vLLM is imported where it is used: who publishes through files does not pay for it.
"""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any

import torch

from rl.sampling.answers import EngineError
from rl.sampling.engine import Deadline, Engine
from rl.supervisor import free_ports

Named = Iterable[tuple[str, torch.Tensor]]
Load = Callable[[], Awaitable[None]]


class NcclTransport:
    """vLLM's `nccl` engine: this process broadcasts, every server's workers receive.

    Rank 0 of the transfer's group is this process; server i has the ranks behind those of the
    servers before it. All servers are addressed at the same time, since a broadcast waits for all.
    After a failure the group is of no use any more: the run has to end.
    """

    device: str | None = None

    def __init__(self, engine: Engine, dtype: torch.dtype) -> None:
        self._engine = engine
        self.dtype = dtype
        self._source = Source()
        self._servers: AllServers | None = None
        self._trainer: Any = None

    @contextlib.asynccontextmanager
    async def staged(
        self, tensors: dict[str, torch.Tensor], version: int, deadline: Deadline
    ) -> AsyncIterator[Load]:
        if self._servers is None:
            sizes = await self._engine.on_every_server(lambda url: self._workers(url, deadline))
            self._servers = AllServers(self._engine.urls, sizes)
        self._servers.version, self._servers.deadline = str(version), deadline
        # They cost one more copy of the model, in the engine's type, while it is sent.
        self._source.pairs = [*tensors.items()]
        try:
            device = torch.cuda.current_device()
            yield lambda: in_daemon_thread(lambda: self._broadcast(device), deadline)
        finally:
            self._source.pairs = []

    async def _workers(self, url: str, deadline: Deadline) -> int:
        answer = await self._engine.request("GET", url, "/get_world_size", None, deadline)
        size = answer.get("world_size") if isinstance(answer, dict) else None
        if type(size) is not int or size < 1:
            raise EngineError(f"rollout server {url} answered GET /get_world_size with {answer}")
        return size

    def _broadcast(self, device: int) -> None:
        from vllm.distributed.weight_transfer import WeightTransferTrainerFactory
        from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo

        assert self._servers is not None
        torch.cuda.set_device(device)  # it is per thread
        if self._trainer is None:
            self._trainer = WeightTransferTrainerFactory.trainer_init(
                NCCLTrainerInitInfo(
                    rank=0,
                    master_address="127.0.0.1",
                    master_port=free_ports(1, 0)[0],
                    world_size=1 + self._servers.n_workers,
                ),
                client=self._servers,
                source=self._source,  # type: ignore[arg-type]
            )
        self._trainer.send_weights()


class Source:
    """What vLLM calls a WeightSource: metadata, and pairs in the same order."""

    pairs: list[tuple[str, torch.Tensor]]

    def __init__(self) -> None:
        self.pairs = []

    def metadata(self) -> list[Any]:
        from vllm.distributed.weight_transfer import ParamMeta

        return [ParamMeta(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in self.pairs]

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
        return iter(self.pairs)


class AllServers:
    """What vLLM calls a VLLMWeightSyncClient, for all servers at once.

    Set `version` and `deadline` before every update: no call outlasts what is left by then.
    """

    version: str
    deadline: Deadline

    def __init__(self, urls: Iterable[str], n_workers: list[int]) -> None:
        self._urls = list(urls)
        self._offsets = [1 + sum(n_workers[:i]) for i in range(len(n_workers))]
        self.n_workers = sum(n_workers)

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        infos = [{**init_info, "rank_offset": offset} for offset in self._offsets]
        self._each(lambda i, client: client.init_weight_transfer_engine(infos[i]))

    def start_weight_update(self) -> None:
        self._each(lambda _, client: client.start_weight_update())

    def update_weights(self, update_info: Any) -> None:
        self._each(lambda _, client: client.update_weights(update_info))

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        del weight_version  # vLLM's sender knows none
        self._each(lambda _, client: client.finish_weight_update(self.version))

    def _each(self, call: Callable[[int, Any], None]) -> None:
        """Call for every server at once; wait for all, and raise what the first of them raised."""
        from vllm.distributed.weight_transfer import HTTPVLLMWeightSyncClient

        timeout_s = max(self.deadline.left_s(), 0.001)  # zero is no timeout that requests takes
        clients = [HTTPVLLMWeightSyncClient(url, timeout_s) for url in self._urls]
        calls = [in_daemon(lambda i=i, c=c: call(i, c)) for i, c in enumerate(clients)]
        for answer in calls:
            answer.result()


def in_daemon(work: Callable[[], None]) -> Future[None]:
    """Run blocking work in a thread that does not keep the process from ending."""
    done: Future[None] = Future()
    done.set_running_or_notify_cancel()  # who gives up waiting does not cancel it

    def run() -> None:
        try:
            work()
        except BaseException as raised:  # handed to the waiting side, whatever it is
            done.set_exception(raised)
        else:
            done.set_result(None)

    threading.Thread(target=run, name="weight-transfer", daemon=True).start()
    return done


async def in_daemon_thread(work: Callable[[], None], deadline: Deadline) -> None:
    """Run blocking work that nothing can interrupt, and give up waiting for it at the deadline.

    Raises:
        EngineError: it raised, or was not done. A thread that hangs in a broadcast stays; as a
            daemon it does not keep the process from ending.
    """
    try:
        async with asyncio.timeout(deadline.left_s()) as limit:
            await asyncio.wrap_future(in_daemon(work))
    except Exception as error:
        if limit.expired():
            raise EngineError(
                f"the weight transfer by NCCL was not done within {deadline}"
            ) from error
        raise EngineError(f"the weight transfer by NCCL failed: {error!r}") from error
