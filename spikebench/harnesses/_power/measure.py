"""Windows of the power harness: what the device's counter gained while a network ran, and how often it ran."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from spikebench.core.protocols import Subject
from spikebench.core.records import Record
from spikebench.harnesses._power.meters import Meter
from spikebench.harnesses._power.metrics import ENERGY_PER_IMAGE, POWER
from spikebench.harnesses._timing.outcome import absent
from spikebench.harnesses._ways.contender import Contender, checkpointing_of, first_batch, settle
from spikebench.harnesses._ways.ways import Way


def nothing(way: Way, batch_size: int, error: Exception) -> Iterator[Record]:
    """Both numbers of ``way``, absent because of ``error``."""
    for metric in (ENERGY_PER_IMAGE, POWER):
        yield absent(metric, error, way.conditions(batch_size))


def measure(
    subject: Subject, way: Way, batch_size: int, seconds: float, windows: int, meter: Meter, idle: float
) -> Iterator[Record]:
    """Energy per image and power of ``way`` over ``windows`` of ``seconds``; ``idle`` watts are subtracted from the energy."""
    try:
        x, y = first_batch(subject.dataset, batch_size, subject.device)
        cell = subject.job.cell
        untrained = cell.training is None and cell.weights is None
        model = settle(subject.model, first_batch(subject.dataset, 8, subject.device)[0]) if untrained else subject.model
        contender = Contender(model, way, x, y, checkpointing_of(subject))
        _spend(contender, seconds / 2)  # clocks and caches settle
        found = [_window(contender, seconds, meter) for _ in range(windows)]
        implementation = contender.implementation()
    except Exception as error:  # out of memory is a result; the next combination may fit
        yield from nothing(way, batch_size, error)
        return
    conditions = way.conditions(batch_size)
    remark = f"{meter.name}, {windows} windows of {seconds:g} s; LIF by {implementation}"
    energies = [(window.joules - idle * window.seconds) / (window.calls * batch_size) for window in found]
    powers = [window.joules / window.seconds for window in found]
    yield Record.of(
        ENERGY_PER_IMAGE,
        median(energies),
        conditions=conditions,
        samples=energies,
        reason=f"{remark}; idle {idle:.1f} W subtracted",
    )
    yield Record.of(POWER, median(powers), conditions=conditions, samples=powers, reason=remark)


@dataclass(frozen=True)
class _Window:
    joules: float
    seconds: float
    calls: int


def idle_power(meter: Meter, seconds: float) -> float:
    """Watts while nothing runs."""
    before, start = meter.joules(), time.perf_counter()
    time.sleep(seconds)
    return (meter.joules() - before) / (time.perf_counter() - start)


def _window(contender: Contender, seconds: float, meter: Meter) -> _Window:
    before, start = meter.joules(), time.perf_counter()
    calls = _spend(contender, seconds)
    return _Window(meter.joules() - before, time.perf_counter() - start, calls)


def _spend(contender: Contender, seconds: float) -> int:
    """Call for ``seconds``, at least once, and wait for the end. A GPU's queue is drained often enough not to run ahead."""
    calls, end = 0, time.perf_counter() + seconds
    while calls == 0 or time.perf_counter() < end:
        contender()
        calls += 1
        if calls % 8 == 0:
            contender.synchronize()
    contender.synchronize()
    return calls
