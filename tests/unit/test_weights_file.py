"""The file through which new weights reach the rollout servers."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from rl.sampling.answers import EngineError
from rl.weights.publisher import write


@contextmanager
def no_file_larger_than(n_bytes: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_views_and_tensors_that_share_their_storage_are_written_as_what_they_show(
    tmp_path: Path,
) -> None:
    flat = torch.arange(12.0)
    tensors = {"a": flat[:4].view(2, 2), "b": flat[4:].view(4, 2).t(), "whole": flat, "again": flat}
    write(tensors, tmp_path / "weights.safetensors")
    found = load_file(tmp_path / "weights.safetensors")
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert torch.equal(found[name], tensor)


def test_weights_that_find_no_room_are_an_error_with_size_and_place(tmp_path: Path) -> None:
    with (
        no_file_larger_than(2**16),
        pytest.raises(EngineError, match=rf"\(1\.0 MiB\) could not be written to {tmp_path}"),
    ):
        write({"weight": torch.zeros(2**18)}, tmp_path / "weights.safetensors")
