"""How many bytes a computation holds: peaks of torch's allocator, and what is saved for the backward pass."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Peak:
    """Bytes of torch's allocator at the worst moment. ``reserved``: held from the GPU, None on a CPU, where nothing is."""

    allocated: int
    reserved: int | None


def bytes_of(tensors: Iterable[Tensor]) -> int:
    """Bytes of the tensors' storages, each storage once."""
    return sum({tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}.values())


def peak(run: Callable[[], None], device: torch.device, alive: int) -> Peak:
    """Peak while ``run`` runs, above what was allocated before it, plus ``alive``: what of that belongs to the computation."""
    if device.type != "cuda":
        return Peak(alive + _peak_on_cpu(run), None)
    torch.cuda.synchronize(device)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    run()
    torch.cuda.synchronize(device)
    allocated = torch.cuda.max_memory_allocated(device) - before + alive
    return Peak(allocated, torch.cuda.max_memory_reserved(device))


def count(run: Callable[[], object], device: torch.device) -> int:
    """How many times ``run`` asks torch's allocator for memory."""
    if device.type != "cuda":
        return sum(change > 0 for change in _changes_on_cpu(run))
    before = torch.cuda.memory_stats(device)["allocation.all.allocated"]
    run()
    torch.cuda.synchronize(device)
    return int(torch.cuda.memory_stats(device)["allocation.all.allocated"] - before)


def _peak_on_cpu(run: Callable[[], None]) -> int:
    now = highest = 0
    for change in _changes_on_cpu(run):
        now += change
        highest = max(highest, now)
    return highest


def _changes_on_cpu(run: Callable[[], object]) -> list[int]:
    """The profiler reports every allocation and release of torch's CPU allocator with its size; their running sum has a peak."""
    from torch.profiler import ProfilerActivity, profile

    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler writes to stderr, on machines without a GPU also errors
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        run()
    events: Any = profiled.profiler.kineto_results.events()
    return [change for _, change in sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")]


class Saved:
    """What a forward pass keeps for its backward pass, by the innermost module that ran.

    Each storage counts once, for the module that saved it first; parameters, buffers and ``given`` tensors (the batch) do
    not count, since they are there anyway. ``by_layer``: module path -> bytes; "" is what no submodule saved (the loss, the
    head's mean).
    """

    def __init__(self, model: nn.Module, given: Iterable[Tensor] = ()) -> None:
        self.by_layer: Counter[str] = Counter()
        self._model = model
        known = [*model.parameters(), *model.buffers(), *given]
        self._seen = {tensor.untyped_storage().data_ptr() for tensor in known}
        self._alive: list[Any] = []  # a released storage's address could be given to another
        self._running: list[str] = []

    @property
    def total(self) -> int:
        return self.by_layer.total()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Listens to every forward pass of the model inside the block."""
        hooks = []
        for name, module in self._model.named_modules():
            if name:
                hooks.append(module.register_forward_pre_hook(lambda *_, name=name: self._running.append(name)))
                hooks.append(module.register_forward_hook(lambda *_: self._leave(), always_call=True))
        try:
            with torch.autograd.graph.saved_tensors_hooks(self._pack, lambda packed: packed):
                yield
        finally:
            self._alive.clear()
            for hook in hooks:
                hook.remove()

    def _leave(self) -> None:
        self._running.pop()

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._seen:
            self._seen.add(storage.data_ptr())
            self._alive.append(storage)
            self.by_layer[self._running[-1] if self._running else ""] += storage.nbytes()
        return tensor


def checkpoint_size(model: nn.Module) -> int:
    """Bytes of the file that ``torch.save`` makes of the weights."""
    buffer = io.BytesIO()
    torch.save(model.state_dict(), buffer)
    return buffer.tell()
