"""One timed call, and what goes before it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import torch

from spikebench.harnesses._timing.observe import watching
from spikebench.harnesses._timing.rule import Sample


class Timed(Protocol):
    """What can be timed: called, it queues its work; ``synchronize`` waits for what is queued."""

    device: torch.device

    def __call__(self) -> object: ...

    def synchronize(self) -> None: ...


def timed(contender: Timed, calls: int = 1) -> Sample:
    """``calls`` calls from an idle device until it is idle again: CUDA events on a GPU, the monotonic clock on a CPU."""
    contender.synchronize()
    if contender.device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        with watching() as disturbance:
            start.record()
            for _ in range(calls):
                contender()
            end.record()
            end.synchronize()
        seconds = start.elapsed_time(end) / 1e3
        return Sample(seconds, disturbance.spoils(seconds))
    with watching() as disturbance:
        begin = time.perf_counter()
        for _ in range(calls):
            contender()
        seconds = time.perf_counter() - begin
    return Sample(seconds, disturbance.spoils(seconds))


def flush(device: torch.device) -> Callable[[], None] | None:
    """A GPU's L2 cache is overwritten by a buffer of twice its size; None on a CPU."""
    if device.type != "cuda":
        return None
    buffer = torch.empty(2 * torch.cuda.get_device_properties(device).L2_cache_size, dtype=torch.int8, device=device)

    def overwrite() -> None:
        buffer.zero_()

    return overwrite
