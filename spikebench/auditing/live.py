"""Which memory of a call is still held when it is over, and how much there was at most."""

from __future__ import annotations

from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from spikebench.activity.eager_mode import EagerMode
from spikebench.activity.nested import tensors_within


class Live(EagerMode):
    """Follows the storage of every tensor that is made inside the block, by forward and backward passes, on any device.

    ``peak``: bytes of theirs at once; ``left()``: bytes that somebody still holds. What leaves PyTorch is not seen.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.peak = 0
        self._sizes: dict[int, tuple[StorageWeakRef, int]] = {}
        self._bound = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        before = {id(tensor) for tensor in tensors_within(args)}
        out = func(*args, **(kwargs or {}))
        if isinstance(func, torch._ops.OpOverload) and not func.is_view:
            for tensor in tensors_within(out):
                if id(tensor) not in before and tensor.layout is torch.strided:
                    self._made(tensor.untyped_storage())
        return out

    def _made(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._sizes and not _gone(self._sizes[key][0]):
            return
        self._sizes[key] = (StorageWeakRef(storage), storage.nbytes())  # type: ignore[no-untyped-call]
        self._bound += storage.nbytes()
        if self._bound > self.peak:
            self.peak = max(self.peak, self.left())

    def left(self) -> int:
        self._sizes = {key: entry for key, entry in self._sizes.items() if not _gone(entry[0])}
        self._bound = sum(size for _, size in self._sizes.values())
        return self._bound


def _gone(storage: StorageWeakRef) -> bool:
    return bool(storage.expired())  # type: ignore[no-untyped-call]
