"""Low-rank adapters: a weight W that stays as it is, plus scale * up @ down, which is learned.

LoRA, arXiv 2106.09685, equation 3, through peft, to which this file is the only door. peft calls
`down` lora_A [rank, inputs] and `up` lora_B [outputs, rank]; its scale is alpha / rank.

Between learner and servers an adapter goes as float32 tensors `<layer>.lora_A.weight` and
`<layer>.lora_B.weight` with the scale already in `up`, so that who merges needs nothing else.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import save_file
from torch import Tensor

from rl.errors import UserError
from rl.recipe.learner import Lora

NAME = "default"  # of the one adapter, in the names of peft's modules
DOWN, UP = ".lora_A.weight", ".lora_B.weight"


class LoraError(UserError):
    """The model has no adapter where the recipe wants one."""


class Adapter(NamedTuple):
    """Of one linear layer."""

    down: Tensor  # [rank, inputs]
    up: Tensor  # [outputs, rank], with the scale in it


def scale(lora: Lora) -> float:
    return lora.alpha / lora.rank


def merge(weight: Tensor, adapter: Adapter) -> Tensor:
    """[outputs, inputs] float32: the weight of the layer that answers like layer and adapter."""
    down, up = (part.to(weight.device, torch.float32) for part in adapter)
    return torch.addmm(weight.float(), up, down)


def add_adapter(model: Any, lora: Lora, seed: int) -> None:
    """Put an adapter beside the layers that `lora` names, and freeze everything else.

    `up` starts as zero, so that the model answers as before; `down` is drawn from `seed`.

    Raises:
        LoraError: a name fits no layer, or one that is not linear or gives the logits.
    """
    import peft
    from peft.tuners.lora import Linear, LoraLayer

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        try:
            peft.inject_adapter_in_model(_config(lora), model, NAME)
        except ValueError as error:
            raise LoraError(f"lora.targets {lora.targets}: {error}") from error
    layers = {name: m for name, m in model.named_modules() if isinstance(m, LoraLayer)}
    output = model.get_output_embeddings()
    wrong = [n for n, m in layers.items() if not isinstance(m, Linear) or m is output]
    ends = {name.rpartition(".")[2] for name in layers}
    missing = [target for target in lora.targets or [] if target not in ends]
    if wrong or missing:
        raise LoraError(
            f"lora.targets {lora.targets}: "
            + (f"{', '.join(wrong)} cannot have an adapter" if wrong else "")
            + (f"no linear layer is called {', '.join(missing)}" if missing else "")
            + "; give the last part of linear layers' names, such as q_proj, or null for every "
            "linear layer but the output layer"
        )


def _config(lora: Lora) -> Any:
    import peft

    return peft.LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # any number will do
        target_modules=lora.targets or "all-linear",
        lora_dropout=0.0,  # the sampler has none
        bias="none",
        task_type=peft.TaskType.CAUSAL_LM,
    )


def published(weights: Iterable[tuple[str, Tensor]], scale: float) -> Iterator[tuple[str, Tensor]]:
    """The learned ones among a model's weights, as they go to the servers."""
    for name, weight in weights:
        plain = name.replace(f".{NAME}.", ".")
        if plain.endswith(DOWN):
            yield plain, weight.float()
        elif plain.endswith(UP):
            yield plain, weight.float() * scale


def adapters(tensors: Mapping[str, Tensor]) -> dict[str, Adapter]:
    """By the name of the weight that each belongs to. Nothing but adapters may be given.

    Raises:
        ValueError: a half is missing, or there is something else.
    """
    found = {}
    for name in sorted(tensors):
        layer, end = _layer(name)
        halves = layer + DOWN, layer + UP
        if not end or not all(half in tensors for half in halves):
            raise ValueError(f"{name} is not half of an adapter whose other half is there")
        found[f"{layer}.weight"] = Adapter(*(tensors[half] for half in halves))
    return found


def _layer(name: str) -> tuple[str, str]:
    end = next((end for end in (DOWN, UP) if name.endswith(end)), "")
    return name.removesuffix(end), end


def mistake(adapters: Mapping[str, Adapter], shapes: Mapping[str, tuple[int, ...]]) -> str | None:
    """Why these adapters do not fit a model with weights of these shapes; None: they do."""
    for name, (down, up) in adapters.items():
        product = (*up.shape[:1], *down.shape[1:])
        if name not in shapes:
            return f"there is no weight {name} to adapt"
        if product != shapes[name] or up.shape[1:] != down.shape[:1]:
            return (
                f"{name} has the shape {list(shapes[name])}, its adapter {list(up.shape)} x "
                f"{list(down.shape)}"
            )
    return None


def whole_model(weights: Mapping[str, Tensor], scale: float) -> dict[str, Tensor]:
    """The model without adapters that answers as this one does, under the names it had before.

    Args:
        weights: whole tensors of a model with adapters; the result has their types.
    """
    own = adapters(dict(published(weights.items(), scale)))
    result = {}
    for name, weight in weights.items():
        if f".lora_A.{NAME}." in name or f".lora_B.{NAME}." in name:
            continue
        plain = name.replace(".base_layer.", ".")
        adapter = own.get(plain)
        result[plain] = weight if adapter is None else merge(weight, adapter).to(weight.dtype)
    return result


def write_adapter(directory: Path, weights: Mapping[str, Tensor], lora: Lora, model: str) -> None:
    """Write adapter_model.safetensors and adapter_config.json, as peft's own save_pretrained does.

    Args:
        directory: to be made. Not that of a whole model: transformers would load both, and the
            adapter twice.
        weights: whole tensors of a model with adapters.
        model: what the adapter belongs to: hub id or directory.
    """
    own = {
        f"base_model.model.{name.replace(f'.{NAME}.', '.')}": weight.contiguous()
        for name, weight in weights.items()
        if f".lora_A.{NAME}." in name or f".lora_B.{NAME}." in name
    }
    directory.mkdir()
    save_file(own, directory / "adapter_model.safetensors", {"format": "pt"})
    config = _config(lora)
    config.base_model_name_or_path = model
    config.inference_mode = True
    config.save_pretrained(directory)
