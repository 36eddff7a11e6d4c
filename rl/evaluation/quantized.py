"""Weight-only quantisation, simulated: rounded to few values, and written back as plain numbers.

What is evaluated so is what a weight-only kernel would compute with: it multiplies by the same
rounded weights. Nothing gets smaller or faster. Symmetric rounding to nearest, the largest weight
of a group at the end of the range; no calibration.

int8: one scale per output; int4: one per 128 inputs of an output (or fewer, where 128 do not fit).
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor


class Scheme(NamedTuple):
    bits: int
    group: int | None  # inputs that share a scale; None: all of an output


SCHEMES = {"int8": Scheme(8, None), "int4": Scheme(4, 128)}


def group_size(inputs: int, scheme: Scheme) -> int:
    """How many inputs of this many share a scale: the largest power of two that divides them, up to
    the scheme's; where that is below 16, all of them."""
    if scheme.group is None:
        return inputs
    size = scheme.group
    while size >= 16 and inputs % size:
        size //= 2
    return size if size >= 16 else inputs


def rounded(weight: Tensor, scheme: Scheme) -> Tensor:
    """[..., inputs]: every weight as the nearest of the 2^bits - 1 values of its group.

    The result has the weight's type. A group of zeros stays zero.
    """
    size = group_size(weight.shape[-1], scheme)
    grouped = weight.float().reshape(*weight.shape[:-1], -1, size)
    top = 2 ** (scheme.bits - 1) - 1
    scale = grouped.abs().amax(-1, keepdim=True) / top
    steps = torch.where(scale > 0, grouped / scale, 0.0).round().clamp(-top, top)
    return (steps * scale).reshape(weight.shape).to(weight.dtype)


def is_quantized(name: str, weight: Tensor) -> bool:
    """Whether a tensor of a checkpoint is what quantisation is about: the matrices of the layers.

    Embedding, output layer, norms, biases and routers stay as they are, as is usual.
    """
    last = name.removesuffix(".weight").rpartition(".")[2]
    kept = last in ("embed_tokens", "lm_head", "wte", "wpe", "embed_in", "embed_out")
    router = last in ("gate", "router")
    return weight.ndim >= 2 and weight.is_floating_point() and not kept and not router


def quantized(weights: Iterable[tuple[str, Tensor]], variant: str) -> Iterator[tuple[str, Tensor]]:
    """The weights of a model as they come out of its quantised variant."""
    scheme = SCHEMES[variant]
    for name, weight in weights:
        yield name, rounded(weight, scheme) if is_quantized(name, weight) else weight
