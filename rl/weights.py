"""New weights from the learner to every rollout server, and the proof that they carry the version.

Two transports: `file` writes a safetensors file into a memory file system, which the servers read
(rl/weights_plugin.py); `nccl` is vLLM's own broadcast from GPU to GPU. Runs in rank 0.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from rl.answers import EngineError, Malformed, read_version
from rl.config import Recipe
from rl.engine import Engine, all_or_first_error

Named = Iterable[tuple[str, torch.Tensor]]


class WeightPublisher:
    """Brings whole models to all servers. Call `close` at the end, also after an error."""

    def __init__(self, engine: Engine, recipe: Recipe, directory: Path | None = None) -> None:
        self._engine = engine
        self._deadline_s = recipe.engine.update_deadline_s
        self._dtype = getattr(torch, recipe.engine.dtype)
        self._directory = directory or Path("/dev/shm")
        self._ready = False

    async def publish(self, weights: Named, version: int) -> None:
        """Make `weights` the ones that every server samples from, under the number `version`."""
        end = time.monotonic() + self._deadline_s
        if not self._ready:
            await self._everywhere(end, "/init_weight_transfer_engine", {"init_info": {}})
            self._ready = True
        handle, name = tempfile.mkstemp(".safetensors", "assay-", self._directory)
        os.close(handle)
        try:
            tensors = {
                key: value.detach().to("cpu", self._dtype).contiguous() for key, value in weights
            }
            await asyncio.to_thread(save_file, tensors, name)
            await self._everywhere(end, "/pause?mode=keep")
            try:
                await self._everywhere(end, "/start_weight_update")
                await self._everywhere(end, "/update_weights", {"update_info": {"path": name}})
                await self._everywhere(
                    end, "/finish_weight_update", {"weight_version": str(version)}
                )
            finally:
                await self._everywhere(end, "/resume")
        finally:
            Path(name).unlink()
        await self._assert_version(version, end)

    async def _everywhere(self, end: float, path: str, body: Any = None) -> None:
        await all_or_first_error(
            self._engine.request("POST", url, path, body, end - time.monotonic())
            for url in self._engine.urls
        )

    async def _assert_version(self, version: int, end: float) -> None:
        async def check(url: str) -> None:
            answer = await self._engine.request(
                "GET", url, "/weight_info", None, end - time.monotonic()
            )
            try:
                found = read_version(answer["weight_version"])
            except (Malformed, KeyError, TypeError) as error:
                raise EngineError(
                    f"rollout server {url} answered /weight_info with {answer}"
                ) from error
            if found != version:
                raise EngineError(
                    f"rollout server {url} holds weights {found} after {version} were published"
                )

        await all_or_first_error(check(url) for url in self._engine.urls)
