"""What goes wrong in a long training without an error: layers that never fire, memory that grows from epoch to epoch."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from spikebench.networks.neurons import SpikingNeuron

if TYPE_CHECKING:
    from spikebench.training.epochs import Epoch

GROWING = 5
"""Epochs in a row whose memory must be more than the one before: a cache that fills up ends sooner."""
WARM = 2
"""First epochs, in which libraries take what they keep."""
LEAK = 4 * 2**20
"""Bytes by which an epoch's memory must be more: an allocator rounds."""


def neuron_layers(model: nn.Module) -> list[str]:
    """The names of its spiking neurons."""
    return [name for name, module in model.named_modules() if isinstance(module, SpikingNeuron)]


@contextmanager
def crossing_off(model: nn.Module, silent: list[str]) -> Iterator[None]:
    """Each neuron layer named in ``silent`` is taken off it when one of its outputs is not 0, and watched no more."""
    handles: dict[str, Any] = {}

    def look(name: str, out: Tensor) -> None:
        if bool(out.any()):
            silent.remove(name)
            handles.pop(name).remove()

    for name, module in model.named_modules():
        if name in silent:
            handles[name] = module.register_forward_hook(lambda _, __, out, name=name: look(name, out))
    try:
        yield
    finally:
        for handle in handles.values():
            handle.remove()


def memory(device: torch.device) -> int:
    """Bytes held now: by tensors on a GPU, by the process on a CPU (0 where the system does not say)."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            pages = int(stream.read().split()[1])
    except OSError:
        return 0
    import resource

    return pages * resource.getpagesize()


def forget_peak(device: torch.device) -> None:
    """``peak`` is from now on."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError), open("/proc/self/clear_refs", "w", encoding="ascii") as stream:
        stream.write("5")  # of proc(5): the peak of resident memory becomes what is resident now


def peak(device: torch.device) -> int:
    """Most bytes held since ``forget_peak``, as ``memory`` counts them; 0 where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    with suppress(OSError), open("/proc/self/status", encoding="ascii") as stream:
        return next((int(line.split()[1]) * 1024 for line in stream if line.startswith("VmHWM:")), 0)
    return 0


def complaint(history: Sequence[Epoch], stop_on: Collection[str]) -> str:
    """Why a training that has come so far shall not go on, or ""; ``stop_on`` as in ``TrainingOptions``."""
    last = history[-1]
    if "dead_layer" in stop_on and last.silent:
        some = ", ".join(last.silent[:3]) + (f" and {len(last.silent) - 3} more" if len(last.silent) > 3 else "")
        return f"stopped after epoch {last.number}: no spike in the whole epoch in {some} (stop_on: dead_layer)"
    held = [epoch.memory for epoch in history[WARM:][-GROWING - 1 :]]
    rises = [after - before for before, after in itertools.pairwise(held)]
    if "memory" in stop_on and len(rises) == GROWING and all(rise >= LEAK for rise in rises):
        grown = f"{held[0] / 2**20:,.0f} to {held[-1] / 2**20:,.0f} MiB"
        return f"stopped after epoch {last.number}: memory grew with each of {GROWING} epochs, {grown} (stop_on: memory)"
    return ""
