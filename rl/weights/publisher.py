"""New weights from the learner to every rollout server, and the proof that they carry the version.

Two transports: `file` writes a safetensors file into a memory file system, which the servers read
(rl/weights/plugin.py); `nccl` is vLLM's own broadcast from GPU to GPU (rl/weights/broadcast.py).
Runs in rank 0.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file

from rl.recipe.config import Recipe
from rl.sampling.answers import EngineError, Malformed, read_version
from rl.sampling.engine import Deadline, Engine
from rl.weights.broadcast import Load, Named, NcclTransport

MEMORY_DIRECTORY = Path("/dev/shm")


class Transport(Protocol):
    device: str | None  # where it wants the weights; None: where they are
    dtype: torch.dtype

    def staged(
        self, tensors: dict[str, torch.Tensor], version: int, deadline: Deadline
    ) -> AbstractAsyncContextManager[Load]:
        """Make weights ready to go while the servers still sample.

        What the context gives is called once the servers are paused: it replaces their weights and
        names them.
        """
        ...


class WeightPublisher:
    """Brings whole models, or adapters, to all servers, each time under a number."""

    def __init__(
        self,
        engine: Engine,
        recipe: Recipe,
        directory: Path = MEMORY_DIRECTORY,
        learning: Executor | None = None,
    ) -> None:
        """
        Args:
            directory: for `weights.transport: file`: where the servers read the weights from.
            learning: the thread that computes what is published; None: any.
        """
        self._engine = engine
        self._learning = learning
        self._deadline_s = recipe.engine.update_deadline_s
        dtype = getattr(torch, recipe.engine.dtype)
        self._transport: Transport = (
            FileTransport(engine, dtype, directory, adapter=recipe.lora is not None)
            if recipe.weights.backend == "file"
            else NcclTransport(engine, dtype)
        )

    async def publish(self, weights: Named, version: int) -> None:
        """Make `weights` the ones that every server samples from, under the number `version`.

        Answers under way are held, and go on with the new weights: their spans say from where.
        What was computed of them under the old weights is computed anew.

        Args:
            weights: whole tensors under their names in the checkpoint, exactly as many as it has;
                an output layer that is tied to the embedding may be left out. With `lora` an
                adapter (rl/learner/lora.py). Consumed once, in the learner's thread: producing them
                may be a collective of its ranks, and answers come in meanwhile.

        Raises:
            EngineError: a server did not take them within engine.update_deadline_s, or refused
                them (`file`: before anything was changed, so that it goes on with the old ones), or
                does not hold `version` afterwards.
        """
        deadline = Deadline(self._deadline_s, "engine.update_deadline_s")
        loop = asyncio.get_running_loop()
        tensors = await loop.run_in_executor(self._learning, self._converted, weights)
        staged = self._transport.staged(tensors, version, deadline)
        async with staged as load, self._paused(deadline):
            await load()
        await self._engine.on_every_server(lambda url: self._holds(url, version, deadline))

    def _converted(self, weights: Named) -> dict[str, torch.Tensor]:
        to = self._transport
        return {name: tensor.detach().to(to.device, to.dtype) for name, tensor in weights}

    @contextlib.asynccontextmanager
    async def _paused(self, deadline: Deadline) -> AsyncIterator[None]:
        await self._engine.post("/pause?mode=keep", None, deadline)
        try:
            yield
        except EngineError as error:
            try:
                await self._engine.post("/resume", None, deadline)
            except EngineError as second:
                raise EngineError(f"{error}; and then: {second}") from error
            raise
        await self._engine.post("/resume", None, deadline)

    async def _holds(self, url: str, version: int, deadline: Deadline) -> None:
        answer = await self._engine.request("GET", url, "/weight_info", None, deadline)
        try:
            found = read_version(answer["weight_version"])
        except (Malformed, KeyError, TypeError) as error:
            raise EngineError(
                f"rollout server {url} answered GET /weight_info with {str(answer)[:200]}"
            ) from error
        if found != version:
            raise EngineError(
                f"rollout server {url} holds weights {found} after {version} were published"
            )


class FileTransport:
    """One file, which all servers read: for servers on the learner's machine."""

    device: str | None = "cpu"

    def __init__(
        self, engine: Engine, dtype: torch.dtype, directory: Path, *, adapter: bool
    ) -> None:
        self._engine = engine
        # An adapter is merged in float32, and small: nothing of it is rounded on its way.
        self.dtype = torch.float32 if adapter else dtype
        self._adapter = adapter
        self._directory = directory
        self._ready = False

    @contextlib.asynccontextmanager
    async def staged(
        self, tensors: dict[str, torch.Tensor], version: int, deadline: Deadline
    ) -> AsyncIterator[Load]:
        if not self._ready:
            nothing: dict[str, Any] = {"init_info": {}}
            await self._engine.post("/init_weight_transfer_engine", nothing, deadline)
            self._ready = True
        with _private(self._directory) as private:
            path = private / "weights.safetensors"
            await asyncio.to_thread(write, tensors, path)
            yield lambda: self._load(path, version, deadline)

    async def _load(self, path: Path, version: int, deadline: Deadline) -> None:
        where = {"update_info": {"path": str(path), "adapter": self._adapter}}
        await self._engine.post("/start_weight_update", None, deadline)
        await self._engine.post("/update_weights", where, deadline)
        await self._engine.post("/finish_weight_update", {"weight_version": str(version)}, deadline)


@contextlib.contextmanager
def _private(directory: Path) -> Iterator[Path]:
    """A directory that only this user can read, gone afterwards with all in it."""
    try:
        holder = tempfile.TemporaryDirectory(prefix="assay-weights-", dir=directory)
    except OSError as error:
        raise EngineError(
            f"no new weights can be put into {directory}, from where the rollout servers read "
            f"them: {error}"
        ) from error
    with holder as name:
        yield Path(name)


def write(tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Write tensors on the CPU into a safetensors file.

    Raises:
        EngineError: there is no room, or no right to write.
    """
    taken: set[int] = set()
    own = {}
    for name, tensor in tensors.items():
        # The format knows no views: what shares its storage with others is copied first.
        storage = tensor.untyped_storage()
        alone = storage.nbytes() == tensor.nbytes and storage.data_ptr() not in taken
        own[name] = tensor.contiguous() if alone else tensor.clone().contiguous()
        taken.add(storage.data_ptr())
    try:
        save_file(own, path)
    except (OSError, SafetensorError) as error:
        size = sum(tensor.nbytes for tensor in own.values()) / 2**20
        raise EngineError(
            f"the new weights ({size:.1f} MiB) could not be written to {path.parent}, from where "
            f"the rollout servers read them: {error}"
        ) from error
