"""Causal attention over sequences laid end to end: no mask, no padding outside of it.

Registered with transformers under a name of its own, so a model needs no change: transformers
builds no mask for a name it has no mask function for, and passes the extra keyword `segments` of
the model's forward through to here. One code path serves CPU and GPU.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

NAME = "assay_packed"

# A bucket takes sequences down to this share of its longest: more buckets mean more kernel calls,
# fewer mean more padding to compute.
SHORTEST_IN_BUCKET = 0.75

# What other attention functions may be asked to do beyond plain causal attention.
UNSUPPORTED = ("softcap", "s_aux", "position_bias", "cache")


@dataclass(frozen=True, slots=True)
class Segments:
    """Where the sequences of one packed row are, and how attention pads them.

    P counts the padded slots. Within a bucket every sequence is padded on the right to the same
    length, which needs no mask: causality keeps real tokens from looking at what follows them.
    """

    buckets: tuple[tuple[int, int], ...]  # (sequences, padded length) in order
    longest: int  # tokens
    pad: Tensor | None  # [P] int64: the token in each slot; None: nothing is padded
    unpad: Tensor | None  # [T] int64: the slot of each token
    # Where a group of ranks holds the row, each a part of it: calls `attend` on all tokens of some
    # heads in place of some tokens of all heads, see rl/learner/sequence_parallel.py.
    exchange: Callable[..., Tensor] | None = None


def segments(lengths: list[int], device: torch.device | str = "cpu") -> Segments:
    """Plan the attention of sequences of `lengths` tokens, longest first, laid end to end.

    Raises:
        ValueError: lengths that are not positive, or not sorted.
    """
    if not lengths or lengths[-1] < 1 or any(a < b for a, b in pairwise(lengths)):
        raise ValueError(f"sequence lengths must be positive and longest first, got {lengths[:9]}")
    buckets: list[tuple[int, int]] = []
    for length in lengths:
        if buckets and length >= SHORTEST_IN_BUCKET * buckets[-1][1]:
            buckets[-1] = (buckets[-1][0] + 1, buckets[-1][1])
        else:
            buckets.append((1, length))
    widths = torch.tensor([width for count, width in buckets for _ in range(count)])
    real = torch.tensor(lengths)
    if torch.equal(widths, real):
        return Segments(tuple(buckets), lengths[0], None, None)
    starts = real.cumsum(0) - real
    offset = torch.arange(int(widths.sum())) - (widths.cumsum(0) - widths).repeat_interleave(widths)
    # A padding slot repeats its sequence's last token: any finite content would do.
    pad = starts.repeat_interleave(widths) + offset.minimum((real - 1).repeat_interleave(widths))
    unpad = (offset < real.repeat_interleave(widths)).nonzero().squeeze(1)
    return Segments(tuple(buckets), lengths[0], pad.to(device), unpad.to(device))


class _Pad(torch.autograd.Function):
    """[T, ...] -> [P, ...]. No real token attends to padding, so its gradient is exactly zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pad: Tensor, unpad: Tensor) -> Tensor:
        ctx.save_for_backward(unpad)
        return x.index_select(0, pad)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (unpad,) = ctx.saved_tensors
        return gradients[0].index_select(0, unpad), None, None


class _SelectRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rows: Tensor) -> Tensor:
        ctx.save_for_backward(rows)
        ctx.n_rows = x.shape[0]
        return x.index_select(0, rows)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (rows,) = ctx.saved_tensors
        gradient = gradients[0]
        whole = gradient.new_zeros(ctx.n_rows, *gradient.shape[1:])
        return whole.index_copy_(0, rows, gradient), None


def select_rows(x: Tensor, rows: Tensor) -> Tensor:
    """x[rows] for distinct `rows`: the gradient is copied where indexing would add it up."""
    return _SelectRows.apply(x, rows)


def packed_attention(
    module: nn.Module,
    query: Tensor,  # [1, heads, T, head size]; T of this rank where `segments` has an `exchange`
    key: Tensor,  # [1, kv heads, T, head size]
    value: Tensor,  # [1, kv heads, T, head size]
    attention_mask: Tensor | None,
    segments: Segments | None = None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attend within each sequence, causally. Returns ([1, T, heads, head size], None).

    Dropout is not applied, whatever the model's configuration says: the sampler had none.

    Raises:
        ValueError: asked for something that this function would silently do wrong.
    """
    if segments is None or attention_mask is not None or query.shape[0] != 1:
        raise ValueError(f"{NAME} attention needs one row, its `segments`, and no mask")
    odd = [name for name in UNSUPPORTED if kwargs.get(name) is not None]
    if odd or (sliding_window is not None and segments.longest > sliding_window):
        raise ValueError(
            f"{NAME} attention computes plain causal attention; {type(module).__name__} asks for "
            f"{', '.join(odd) or f'a window of {sliding_window} tokens'} on sequences of up to "
            f"{segments.longest} tokens"
        )
    rows = [x.transpose(1, 2) for x in (query, key, value)]
    if segments.exchange is None:
        return attend(*rows, segments=segments, scaling=scaling), None
    return segments.exchange(*rows, batch_dim_idx=0, segments=segments, scaling=scaling), None


def attend(
    query: Tensor,  # [1, T, heads, head size]
    key: Tensor,  # [1, T, kv heads, head size]
    value: Tensor,  # [1, T, kv heads, head size]
    *,
    segments: Segments,
    scaling: float | None,
) -> Tensor:
    """[1, T, heads, head size]: causal attention within each of `segments`."""
    rows = [x[0] for x in (query, key, value)]
    if segments.pad is not None:
        rows = [_Pad.apply(x, segments.pad, segments.unpad) for x in rows]
    sizes = [count * width for count, width in segments.buckets]
    grouped = key.shape[2] != query.shape[2]
    outputs = [
        scaled_dot_product_attention(
            *(x.unflatten(0, bucket).transpose(1, 2) for x in parts),
            scale=scaling,
            is_causal=True,
            enable_gqa=grouped,
        )
        .transpose(1, 2)
        .flatten(0, 1)
        for bucket, *parts in zip(segments.buckets, *(x.split(sizes) for x in rows), strict=True)
    ]
    output = outputs[0] if len(outputs) == 1 else torch.cat(outputs)
    if segments.unpad is not None:
        output = select_rows(output, segments.unpad)
    return output.unsqueeze(0)


AttentionInterface.register(NAME, packed_attention)
