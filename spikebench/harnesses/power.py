"""Joules per image by the device's own energy counter: NVML on a GPU, RAPL on a CPU; idle power subtracted and stated.

NVML's counter moves about every 100 ms, so a window lasts seconds. Where there is no counter the numbers are absent, with
the reason: an estimate from a data sheet would be no measurement. What papers call energy is another thing, see ``energy``.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from statistics import median
from typing import TYPE_CHECKING

from spikebench.core.metrics import Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record, Status
from spikebench.harnesses._ways.ways import OURS, Dtype, Mode, Way, check_lists

if TYPE_CHECKING:
    from spikebench.harnesses._power.meters import Meter
    from spikebench.harnesses._ways.contender import Contender

ENERGY_PER_IMAGE = Metric(
    "energy_per_image",
    "J",
    "lower",
    "measured",
    "Measured energy",
    display_unit="mJ",
    display_factor=1e3,
    portable=False,
    tolerance=0.1,
    note="device counter over windows of seconds, idle power subtracted",
)
POWER = Metric(
    "power",
    "W",
    "lower",
    "measured",
    "Power",
    display_unit="W",
    portable=False,
    tolerance=0.1,
    note="while running, idle included",
)
IDLE_POWER = Metric(
    "idle_power", "W", "lower", "measured", "Idle power", display_unit="W", portable=False, note="just before the first window"
)


class Harness:
    """Runs alone. A GPU's power depends on the values that it computes with, so the cell's own weights are used.

    A cell that is not trained gets BatchNorm statistics of eight test samples; else none of its neurons would fire.
    """

    @dataclass(frozen=True)
    class Options:
        """Every combination of the lists, inference only; ``windows`` of ``seconds`` each, and one more for idle."""

        batch_sizes: tuple[int, ...] = (32,)
        dtypes: tuple[Dtype, ...] = ("fp32",)
        modes: tuple[Mode, ...] = ("eager",)
        backends: tuple[str, ...] = (OURS,)
        seconds: float = 3.0
        windows: int = 5

        def __post_init__(self) -> None:
            check_lists(self.batch_sizes, self.backends, dtypes=self.dtypes, modes=self.modes)
            if not (self.seconds > 0 and self.windows >= 1):
                raise ValueError("seconds must be above 0 and windows at least 1")

    metrics = (ENERGY_PER_IMAGE, POWER, IDLE_POWER)
    version = 1
    needs_weights = True
    exclusive = True
    resumes = False

    def run(self, subject: Subject, options: Options) -> Iterator[Record]:
        """``idle_power`` once, then both others for every combination; samples are the windows'."""
        from spikebench.harnesses._power.meters import meter_for

        ways = [Way(backend, mode, dtype) for dtype, backend, mode in product(options.dtypes, options.backends, options.modes)]
        try:
            meter = meter_for(subject.device)
        except LookupError as error:
            yield Record.absent(IDLE_POWER, str(error))
            for batch_size, way in product(options.batch_sizes, ways):
                yield from _absent(way, batch_size, str(error))
            return
        idle = _idle(meter, options.seconds)
        yield Record.of(IDLE_POWER, idle, reason=f"{meter.name}, a window of {options.seconds:g} s")
        for batch_size, way in product(options.batch_sizes, ways):
            yield from _measure(subject, way, batch_size, options, meter, idle)


def _absent(way: Way, batch_size: int, reason: str, status: Status = "unavailable") -> Iterator[Record]:
    for metric in (ENERGY_PER_IMAGE, POWER):
        yield Record.absent(metric, reason, status, conditions=way.conditions(batch_size))


def _measure(
    subject: Subject, way: Way, batch_size: int, options: Harness.Options, meter: Meter, idle: float
) -> Iterator[Record]:
    from spikebench.harnesses._ways.contender import Contender, UnavailableError, first_batch, settle

    try:
        x, y = first_batch(subject.dataset, batch_size, subject.device)
        cell = subject.job.cell
        untrained = cell.training is None and cell.weights is None
        model = settle(subject.model, first_batch(subject.dataset, 8, subject.device)[0]) if untrained else subject.model
        contender = Contender(model, way, x, y)
        _spend(contender, options.seconds / 2)  # clocks and caches settle
        found = [_window(contender, options.seconds, meter) for _ in range(options.windows)]
        implementation = contender.implementation()
    except UnavailableError as error:
        yield from _absent(way, batch_size, str(error))
        return
    except Exception as error:  # out of memory is a result; the next combination may fit
        yield from _absent(way, batch_size, f"{type(error).__name__}: {str(error).strip().split(chr(10))[0]}", "failed")
        return
    conditions = way.conditions(batch_size)
    remark = f"{meter.name}, {options.windows} windows of {options.seconds:g} s; LIF by {implementation}"
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


def _idle(meter: Meter, seconds: float) -> float:
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
