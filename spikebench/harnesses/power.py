"""Joules per image by the device's own energy counter: NVML on a GPU, RAPL on a CPU; idle power subtracted and stated.

NVML's counter moves about every 100 ms, so a window lasts seconds. Where there is no counter the numbers are absent, with
the reason: an estimate from a data sheet would be no measurement. What papers call energy is another thing, see ``energy``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from spikebench.core.protocols import Subject
from spikebench.core.records import Record
from spikebench.harnesses._power.metrics import ENERGY_PER_IMAGE, IDLE_POWER, POWER
from spikebench.harnesses._timing.outcome import UnavailableError, absent
from spikebench.harnesses._ways.ways import OURS, Dtype, Mode, Way, check_lists


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
    stage = False

    def run(self, subject: Subject, options: Options) -> Iterator[Record]:
        """``idle_power`` once, then both others for every combination; samples are the windows'."""
        from spikebench.harnesses._power.measure import idle_power, measure, nothing
        from spikebench.harnesses._power.meters import meter_for

        ways = [Way(backend, mode, dtype) for dtype, backend, mode in product(options.dtypes, options.backends, options.modes)]
        try:
            meter = meter_for(subject.device)
        except LookupError as error:
            unavailable = UnavailableError(str(error))
            yield absent(IDLE_POWER, unavailable, {})
            for batch_size, way in product(options.batch_sizes, ways):
                yield from nothing(way, batch_size, unavailable)
            return
        idle = idle_power(meter, options.seconds)
        yield Record.of(IDLE_POWER, idle, reason=f"{meter.name}, a window of {options.seconds:g} s")
        for batch_size, way in product(options.batch_sizes, ways):
            yield from measure(subject, way, batch_size, options.seconds, options.windows, meter, idle)
