"""vLLM plug-in, loaded inside a rollout server: the weight-transfer engine `file`.

vLLM finds `register` through the entry point group `vllm.general_plugins`; a server that is started
with `--weight-transfer-config '{"backend": "file"}'` then reads its new weights from a safetensors
file, which the learner puts into a memory file system: all of them, or an adapter
(rl/learner/lora.py) that is merged into those the server started with. An update is checked as a
whole before the model is touched: one that does not fit is refused, and the server goes on with the
weights it has.

The plug-in also sees to it that no process of a server outlives the server.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from safetensors import SafetensorError, safe_open
from torch import Tensor
from vllm.distributed.weight_transfer import WeightTransferEngine, WeightTransferEngineFactory
from vllm.distributed.weight_transfer.base import (
    WeightTransferInitInfo,
    WeightTransferUpdateInfo,
)
from vllm.model_executor.layers.fused_moe import RoutedExperts
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead
from vllm.model_executor.model_loader import get_model_loader
from vllm.model_executor.model_loader.reload import (
    finalize_layerwise_reload,
    initialize_layerwise_reload,
)
from vllm.platforms import current_platform

from rl.learner import lora

_PR_SET_PDEATHSIG = 1

Shapes = dict[str, tuple[int, ...]]


def register() -> None:
    """Make the engine known to vLLM. Called once in each of a server's processes."""
    WeightTransferEngineFactory.register_engine("file", FileWeightTransferEngine)
    _end_with_parent()


def _end_with_parent() -> None:
    """Let the kernel kill a server's engine process when the server is gone.

    vLLM leaves it behind, with all its memory, when the server is killed and cannot clean up.
    """
    parent = multiprocessing.parent_process()
    if parent is not None and sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent.pid:
            os._exit(1)


@dataclass
class FileInit(WeightTransferInitInfo):
    """Nothing has to be agreed on: every update names its file."""


@dataclass
class FileUpdate(WeightTransferUpdateInfo):
    path: str  # a safetensors file with all weights, under their names in the checkpoint, or
    adapter: bool = False  # with an adapter to add to those the server started with


class FileWeightTransferEngine(WeightTransferEngine[FileInit, FileUpdate]):
    """Loads whole models from files, by vLLM's layer-wise reload."""

    init_info_cls = FileInit
    update_info_cls = FileUpdate
    supports_draft_weight_update = False

    _expected: Shapes | None = None

    def init_transfer_engine(self, init_info: FileInit) -> None:
        """Note what a complete update consists of: the tensors of the starting checkpoint."""
        del init_info
        self._expected = {name: tuple(tensor.shape) for name, tensor in self._starting_weights()}

    def _starting_weights(self) -> Iterable[tuple[str, Tensor]]:
        """Read from the disk again: the model's own are fused, repacked and overwritten."""
        loader = get_model_loader(self.vllm_config.load_config)
        return loader.get_all_weights(self.model_config, self.model)  # type: ignore[attr-defined]

    def start_weight_update(self) -> None:
        """Nothing yet: the model stays whole until the update has been checked."""

    def update_weights(self, update_info: dict[str, object]) -> None:
        # The base class waits for an accelerator here, which a CPU does not have. Reading a file
        # is synchronous, and a GPU orders the copies before the next step by its stream.
        self.receive_weights(self.parse_update_info(update_info))

    def receive_weights(self, update_info: FileUpdate) -> None:
        """Read one file and load it into the model.

        Raises:
            RuntimeError: `init_transfer_engine` was not called.
            ValueError: no readable file, or not exactly the tensors of the starting checkpoint, or
                an adapter that does not fit them. The model was not touched.
        """
        if self._expected is None:
            raise RuntimeError("a weight update before init_weight_transfer_engine")
        try:
            with safe_open(update_info.path, framework="pt") as file:
                weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError) as error:
            raise ValueError(
                f"weight update: {update_info.path} cannot be read: {error}"
            ) from error
        tied = bool(getattr(self.model_config.hf_config, "tie_word_embeddings", False))
        if update_info.adapter:
            whole = self._merged(weights)
        elif mistakes := compare(self._expected, _shapes(weights), tied=tied):
            raise ValueError(f"weight update refused, nothing was changed: {mistakes}")
        else:
            whole = weights.items()
        self._forget_expert_kernels()
        initialize_layerwise_reload(self.model)
        self.model.load_weights(whole)  # type: ignore[operator]
        finalize_layerwise_reload(self.model, self.model_config)
        if tied:
            self._repack_output_layer()

    def _forget_expert_kernels(self) -> None:
        """Let experts be packed again, as when the model was loaded first.

        On CPUs vLLM multiplies by packed copies here, too, and packs them only where it makes a new
        kernel: with the old one it would read the new weights in the wrong layout (vLLM 0.32).
        """
        if not current_platform.is_cpu():
            return
        for module in self.model.modules():
            if isinstance(module, RoutedExperts):
                module.quant_method.moe_kernel = None

    def _merged(self, tensors: dict[str, Tensor]) -> Iterable[tuple[str, Tensor]]:
        """The starting weights with an adapter in them.

        All of them, not only those adapted: vLLM fuses layers, and loads a fused one as a whole.
        """
        assert self._expected is not None
        try:
            adapters = lora.adapters(tensors)
        except ValueError as error:
            raise ValueError(f"adapter refused, nothing was changed: {error}") from error
        if mistake := lora.mistake(adapters, self._expected):
            raise ValueError(f"adapter refused, nothing was changed: {mistake}")
        return (
            (name, lora.merge(weight, adapters[name]) if name in adapters else weight)
            for name, weight in self._starting_weights()
        )

    def _repack_output_layer(self) -> None:
        """Let a tied output layer see the new embedding.

        On CPUs vLLM multiplies by a packed copy of a weight, made when the weight was loaded.
        Nothing is loaded into a tied output layer, so the reload leaves it the copy of the old one.
        """
        for module in self.model.modules():
            if isinstance(module, ParallelLMHead):
                module.quant_method.process_weights_after_loading(module)

    def finish_weight_update(self) -> None:
        """Nothing left to do: `receive_weights` leaves a whole model."""

    def shutdown(self) -> None:
        """Nothing is held open between updates."""


def _shapes(weights: Mapping[str, Tensor]) -> Shapes:
    return {name: tuple(tensor.shape) for name, tensor in weights.items()}


def compare(expected: Mapping[str, tuple[int, ...]], found: Shapes, *, tied: bool) -> str:
    """What is wrong with an update, in words; empty where it is complete and fits.

    Where the output layer is tied to the embedding (`tied`), a checkpoint may hold it or leave it
    out, and so may an update.
    """
    free = {"lm_head.weight"} if tied else set()
    missing = sorted(expected.keys() - found.keys() - free)
    unknown = sorted(found.keys() - expected.keys() - free)
    wrong = [
        f"{name} has the shape {list(found[name])}, not {list(shape)}"
        for name, shape in expected.items()
        if name in found and found[name] != shape
    ]
    parts = [
        f"{len(missing)} tensors are missing ({_some(missing)})" if missing else "",
        f"{len(unknown)} tensors are unknown ({_some(unknown)})" if unknown else "",
        _some(wrong),
    ]
    return "; ".join(part for part in parts if part)


def _some(names: list[str], n: int = 3) -> str:
    return ", ".join(names[:n]) + (", ..." if len(names) > n else "")
