"""Exact memory of tensors, the same on every machine: what torch makes while `Peak` watches."""

import weakref
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Peak(TorchDispatchMode):
    """Context manager. Sees every tensor that an operation gives, also in the backward pass.

    What an operation uses inside, such as a flash kernel's blocks, it does not see.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0  # largest sum of what was alive at one time
        self.elements = 0  # of the largest tensor
        self._alive: dict[int, int] = {}  # storage -> its bytes

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        out = function(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor):
                self._see(tensor)
        return out

    def _see(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        address = storage.data_ptr()
        self.elements = max(self.elements, tensor.numel())
        if address and address not in self._alive:
            self._alive[address] = storage.nbytes()
            weakref.finalize(storage, self._alive.pop, address)
            self.bytes = max(self.bytes, sum(self._alive.values()))
