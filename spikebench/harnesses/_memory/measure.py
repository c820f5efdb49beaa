"""One combination of the memory harness: a step is run until its memory is steady, then its peak and what it saves are taken."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import torch
from torch.optim import AdamW

from spikebench.core.metrics import Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record, Scalar
from spikebench.harnesses._memory.allocations import Saved, bytes_of, peak
from spikebench.harnesses._memory.metrics import PEAK_ALLOCATED, PEAK_RESERVED, SAVED_BYTES
from spikebench.harnesses._timing.outcome import absent
from spikebench.harnesses._ways.contender import Contender, checkpointing_of, first_batch
from spikebench.harnesses._ways.ways import Way


def _conditions(way: Way, batch_size: int) -> dict[str, Scalar]:
    return {name: value for name, value in way.conditions(batch_size).items() if name != "mode"}


def measure(subject: Subject, way: Way, batch_size: int) -> Iterator[Record]:
    """Peaks and saved bytes of ``way``; absent with the reason where it cannot be had or does not fit."""
    conditions = _conditions(way, batch_size)
    try:
        x, y = first_batch(subject.dataset, batch_size, subject.device)
        records = list(_records(Contender(subject.model, way, x, y, checkpointing_of(subject)), conditions))
    except Exception as error:  # out of memory is a result, and the next combination may fit
        records = [absent(metric, error, conditions) for metric in _expected(way)]
    gc.collect()
    if subject.device.type == "cuda":
        torch.cuda.empty_cache()
    yield from records


def _expected(way: Way) -> tuple[Metric, ...]:
    return (PEAK_ALLOCATED, PEAK_RESERVED, *((SAVED_BYTES,) if way.phase == "training" else ()))


def _records(contender: Contender, conditions: dict[str, Scalar]) -> Iterator[Record]:
    optimizer = AdamW(contender.model.parameters()) if contender.way.phase == "training" else None

    def step() -> None:
        contender()
        if optimizer is not None:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    step()  # optimizer state and kernel caches are there from the second step on
    states = [] if optimizer is None else [value for state in optimizer.state.values() for value in state.values()]
    alive = bytes_of([*contender.model.parameters(), *contender.model.buffers(), *states, contender.x, contender.y])
    found = peak(step, contender.device, alive)
    remark = f"LIF by {contender.implementation()}"
    yield Record.of(PEAK_ALLOCATED, found.allocated, conditions=conditions, reason=remark)
    if found.reserved is None:
        yield Record.absent(PEAK_RESERVED, "a CPU's memory is not reserved ahead", conditions=conditions)
    else:
        yield Record.of(PEAK_RESERVED, found.reserved, conditions=conditions)
    if optimizer is None:
        return
    saved = Saved(contender.model, given=(contender.x, contender.y))
    with saved.watching():
        contender.forward()
    yield Record.of(SAVED_BYTES, saved.total, conditions=conditions, reason=remark)
    for layer, count in saved.by_layer.items():
        yield Record.of(SAVED_BYTES, count, scope=layer or "other", conditions=conditions)
