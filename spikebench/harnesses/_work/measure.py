"""One combination of the work harness: the pass is run until it is steady, then counted in passes of their own."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from spikebench.core.metrics import Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record, Scalar
from spikebench.harnesses._memory.allocations import count
from spikebench.harnesses._timing.outcome import UnavailableError, absent
from spikebench.harnesses._ways.contender import Contender, first_batch, settle
from spikebench.harnesses._ways.ways import Way
from spikebench.harnesses._work import callgrind, perf
from spikebench.harnesses._work.calls import calls_of
from spikebench.harnesses._work.metrics import ALL, ALLOCATIONS, ATEN_CALLS, BYTES_MOVED, INSTRUCTIONS, KERNEL_LAUNCHES

SETTLING = 8
"""Samples whose BatchNorm statistics an untrained network is given, as before it is timed."""
PASSES = 5
"""Passes of which the one with the median of the instructions is taken."""


def measure(subject: Subject, way: Way, batch_size: int, instructions: str) -> Iterator[Record]:
    """All counts of one way; absent with the reason where it cannot be had."""
    conditions = {name: value for name, value in way.conditions(batch_size).items() if name != "mode"}
    try:
        x, y = first_batch(subject.dataset, batch_size, subject.device)
        model = settle(subject.model, first_batch(subject.dataset, SETTLING, subject.device)[0])
        records = list(_records(Contender(model, way, x, y), conditions, instructions, subject))
    except Exception as error:  # out of memory is a result, and the next combination may fit
        records = [absent(metric, error, conditions) for metric in ALL]
    gc.collect()
    yield from records


def _records(contender: Contender, conditions: dict[str, Scalar], how: str, subject: Subject) -> Iterator[Record]:
    for _ in range(2):  # caches and gradients are there from the second pass on
        contender()
    found = calls_of(contender)
    remark = f"LIF by {contender.implementation()}"
    for metric, layers in ((ATEN_CALLS, found.calls), (BYTES_MOVED, found.bytes)):
        yield from _by_layer(metric, layers, conditions, remark)
    yield Record.of(ALLOCATIONS, count(contender, contender.device), conditions=conditions)
    if contender.device.type == "cuda":
        yield Record.of(KERNEL_LAUNCHES, _launches(contender), conditions=conditions)
    else:
        yield Record.absent(KERNEL_LAUNCHES, "a CPU launches no kernels", conditions=conditions)
    try:
        counted = _instructions(contender, how, subject)
    except Exception as error:
        yield absent(INSTRUCTIONS, error, conditions)
        return
    yield from _by_layer(INSTRUCTIONS, counted, conditions, how)


def _by_layer(metric: Metric, layers: Mapping[str, int], conditions: dict[str, Scalar], remark: str) -> Iterator[Record]:
    yield Record.of(metric, sum(layers.values()), conditions=conditions, reason=remark)
    for layer, number in layers.items():
        yield Record.of(metric, number, scope=layer or "other", conditions=conditions)


def _instructions(contender: Contender, how: str, subject: Subject) -> Mapping[str, int]:
    if how == "callgrind":
        return callgrind.by_layer(subject, contender.way, len(contender.x))
    if how == "off":
        raise UnavailableError("not asked for")
    counters = perf.Counters()
    try:
        passes: list[Counter[str]] = [perf.by_layer(contender.model, contender, counters.read) for _ in range(PASSES)]
    finally:
        counters.close()
    return sorted(passes, key=lambda found: found.total())[PASSES // 2]


def _launches(contender: Contender) -> int:
    """Kernels that the profiler saw start on the device."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        contender()
        torch.cuda.synchronize(contender.device)
    events: Any = profiled.profiler.kineto_results.events()
    on_device = [event.name() for event in events if event.device_type() == torch.autograd.DeviceType.CUDA]
    return sum(not name.startswith(("Memcpy", "Memset")) for name in on_device)
