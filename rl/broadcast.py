"""New weights from GPU to GPU: vLLM's `nccl` weight transfer, with all rollout servers at once.

vLLM is imported where it is used: who publishes through files does not pay for it.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from rl.answers import EngineError
from rl.engine import Deadline, Engine

Named = Iterable[tuple[str, torch.Tensor]]
Load = Callable[[], Awaitable[None]]


class NcclTransport:
    """vLLM's `nccl` engine: this process broadcasts, every server's workers receive.

    Rank 0 of the transfer's group is this process; server i has the ranks behind those of the
    servers before it. All servers are addressed at the same time, since a broadcast waits for all.
    After a failure the group is of no use any more: the run has to end.
    """

    def __init__(self, engine: Engine, dtype: torch.dtype) -> None:
        self._engine = engine
        self._dtype = dtype
        self._source = Source()
        self._servers: AllServers | None = None
        self._trainer: Any = None

    @contextlib.asynccontextmanager
    async def staged(self, weights: Named, version: int, deadline: Deadline) -> AsyncIterator[Load]:
        if self._servers is None:
            sizes = await self._engine.on_every_server(lambda url: self._workers(url, deadline))
            self._servers = AllServers(self._engine.urls, sizes, deadline.left_s())
        self._servers.version = str(version)
        # The list costs one more copy of the model, in the engine's type, while it is sent.
        self._source.pairs = [(name, tensor.detach().to(self._dtype)) for name, tensor in weights]
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
                    master_port=_free_port(),
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
    """What vLLM calls a VLLMWeightSyncClient, for all servers at once."""

    def __init__(self, urls: Iterable[str], n_workers: list[int], deadline_s: float) -> None:
        from vllm.distributed.weight_transfer import HTTPVLLMWeightSyncClient

        self._clients = [HTTPVLLMWeightSyncClient(url, deadline_s) for url in urls]
        self._offsets = [1 + sum(n_workers[:i]) for i in range(len(n_workers))]
        self._threads = ThreadPoolExecutor(len(n_workers))
        self.n_workers = sum(n_workers)
        self.version = ""

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        infos = [{**init_info, "rank_offset": offset} for offset in self._offsets]
        self._each(lambda i: self._clients[i].init_weight_transfer_engine(infos[i]))

    def start_weight_update(self) -> None:
        self._each(lambda i: self._clients[i].start_weight_update())

    def update_weights(self, update_info: Any) -> None:
        self._each(lambda i: self._clients[i].update_weights(update_info))

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        del weight_version  # vLLM's sender knows none
        self._each(lambda i: self._clients[i].finish_weight_update(self.version))

    def _each(self, call: Callable[[int], None]) -> None:
        for future in [self._threads.submit(call, i) for i in range(len(self._clients))]:
            future.result()


async def in_daemon_thread(work: Callable[[], None], deadline: Deadline) -> None:
    """Run blocking work that nothing can interrupt, and give up waiting for it at the deadline.

    Raises:
        EngineError: it raised, or was not done. A thread that hangs in a broadcast stays; as a
            daemon it does not keep the process from ending.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(EngineError(f"the weight transfer by NCCL failed: {error!r}"))

    def run() -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as raised:  # handed to the waiting side, whatever it is
            error = raised
        loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=run, name="weight-transfer", daemon=True).start()
    try:
        async with asyncio.timeout(deadline.left_s()):
            await done
    except TimeoutError as error:
        raise EngineError(f"the weight transfer by NCCL was not done within {deadline}") from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
