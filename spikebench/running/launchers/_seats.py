"""Where the worker processes of one machine sit: how many, on which cores, with which GPUs."""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Sequence
from pathlib import Path

from spikebench.core.process import host
from spikebench.core.protocols import Care
from spikebench.running.jobs.events import Where


@dataclasses.dataclass(frozen=True)
class Seat:
    """One worker's. ``cores``: those that it keeps to; empty: any. ``gpus``: its CUDA_VISIBLE_DEVICES; None: what it inherits."""

    where: Where
    threads: int
    cores: tuple[int, ...] = ()
    gpus: str | None = None


def seats(workers: int | None, threads: int, care: Care) -> list[Seat]:
    """As many as ``workers``, else one a device: a GPU (or as many as a job uses), or ``threads`` cores.

    Cores are dealt out in order, all of them, in groups as large as they can be; workers with more threads than there are cores
    keep to none. Of more workers than GPUs several share one.
    """
    gpus = local_gpus() if care.device == "cuda" else []
    groups = [",".join(gpus[at : at + care.devices]) for at in range(0, len(gpus) - care.devices + 1, care.devices)]
    cores = usable_cores()
    count = workers or len(groups) or (1 if care.device == "cuda" else max(1, len(cores) // threads))
    shares = _dealt(cores, count) if count * threads <= len(cores) else [()] * count
    return [
        Seat(Where(host(), str(index + 1)), threads, share, groups[index % len(groups)] if groups else None)
        for index, share in enumerate(shares)
    ]


def _dealt(cores: Sequence[int], count: int) -> list[tuple[int, ...]]:
    ends = [len(cores) * index // count for index in range(count + 1)]
    return [tuple(cores[start:end]) for start, end in itertools.pairwise(ends)]


def usable_cores() -> list[int]:
    """Of this process."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def local_gpus() -> list[str]:
    """As CUDA_VISIBLE_DEVICES may name them: what it names now, else all that have a device file. A driver has no torch."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name for name in named.replace(" ", "").split(",") if name and name != "-1"]
    return [str(index) for index, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]
