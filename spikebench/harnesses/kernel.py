"""The LIF alone, each backend against SpikingJelly 2 and a device copy in the same rounds, by shape, dtype and phase.

Byte floors and protocol: REFERENCES 8. Nothing of the network is built: the cell gives the neuron's parameters and its surrogate.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal, TypeAlias, get_args

from spikebench.core.metrics import Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record, Scalar
from spikebench.harnesses._ways.ways import SPIKINGJELLY, Dtype, check_lists

Phase: TypeAlias = Literal["forward", "forward+backward"]
Shape: TypeAlias = tuple[int, ...]

KERNEL_TIME = Metric(
    "kernel_time",
    "s",
    "lower",
    "measured",
    "LIF time",
    display_unit="ms",
    display_factor=1e3,
    digits=2,
    portable=False,
    tolerance=0.05,
    note="median of synchronised calls over all T steps, from rest, output allocated inside",
)
KERNEL_SPEEDUP = Metric(
    "kernel_speedup",
    "1",
    "higher",
    "measured",
    "Speed-up",
    display_unit="×",
    digits=2,
    portable=False,
    tolerance=0.05,
    note="time of SpikingJelly 2 over that of the backend, median of the ratios of the rounds that both ran in",
)
KERNEL_BANDWIDTH = Metric(
    "kernel_bandwidth",
    "B/s",
    "higher",
    "measured",
    "Bandwidth",
    display_unit="GB/s",
    display_factor=1e-9,
    digits=2,
    portable=False,
    tolerance=0.05,
    note="the bytes that no LIF can do without over its time, whatever it really moves: forward reads x and writes spikes; "
    "backward reads x and dL/dS and writes dL/dx",
)
COPY_BANDWIDTH = Metric(
    "copy_bandwidth",
    "B/s",
    "higher",
    "measured",
    "Copy bandwidth",
    display_unit="GB/s",
    display_factor=1e-9,
    digits=2,
    portable=False,
    tolerance=0.05,
    note="bytes read and written by tensor.copy_ of x into memory that is there already, in the same rounds",
)
COPY_FRACTION = Metric(
    "copy_fraction",
    "1",
    "higher",
    "measured",
    "Of a copy",
    display_unit="%",
    display_factor=100.0,
    digits=1,
    portable=False,
    tolerance=0.05,
    note="bandwidth as a fraction of that of a device copy, median of the ratios of the rounds that both ran in",
)
KERNEL_SPOILED = Metric(
    "kernel_spoiled",
    "1",
    "lower",
    "counted",
    "Spoiled calls",
    portable=False,
    note="calls that something else on the machine disturbed; left out of the medians, unless most are",
)
Address: TypeAlias = tuple[Hashable, ...]
ITEM_SIZE: dict[Dtype, int] = {"fp32": 4, "bf16": 2, "fp16": 2}


@dataclass(frozen=True)
class Way:
    """Who computes the LIF, and how much of it."""

    backend: str
    phase: Phase


@dataclass(frozen=True)
class Point:
    """One input: all ways to compute it, and a copy of it, take turns."""

    shape: Shape
    dtype: Dtype

    @property
    def conditions(self) -> dict[str, Scalar]:
        return {"shape": "x".join(map(str, self.shape)), "dtype": self.dtype}

    def conditions_of(self, way: Way) -> dict[str, Scalar]:
        """What tells the records of ``way`` apart."""
        return {**self.conditions, "backend": way.backend, "phase": way.phase}

    @property
    def copied(self) -> int:
        """Bytes that a copy of x reads and writes."""
        return 2 * math.prod(self.shape) * ITEM_SIZE[self.dtype]

    def floor(self, phase: Phase) -> int:
        """Bytes that a LIF must move: in fp32 8 an element and step forward, 12 more backward; in half precision 4 and 6."""
        tensors = 2 if phase == "forward" else 2 + 3
        return tensors * math.prod(self.shape) * ITEM_SIZE[self.dtype]


class Harness:
    """Runs alone on its machine; nothing is trained and no network built.

    Every one of our backends must fire as the reference does, to the bit, before it is timed: a wrong result has no speed.
    """

    @dataclass(frozen=True)
    class Options:
        """What is timed is every combination of the lists; ``seconds`` is spent at most on each, and half of it on its warm-up,
        which is never less than twelve calls.

        ``shapes``: each [T, B, C, ...]. ``backends``: ours by name, ``spikebench`` (the fastest of ours that can run),
        ``spikingjelly`` (``functional.lif_multi_step`` with a float32 membrane: in fp32 what its LIFNode calls; in half precision
        the LIFNode would lose its fused kernel) and ``spikingjelly-compiled``. Speed-ups need ``spikingjelly`` among them.
        ``flush_l2``: a GPU's L2 cache is overwritten before every call.
        """

        shapes: tuple[Shape, ...] = ((4, 32, 96, 32, 32),)
        dtypes: tuple[Dtype, ...] = ("fp32",)
        phases: tuple[Phase, ...] = get_args(Phase)
        backends: tuple[str, ...] = ("numba", "torch", "triton", SPIKINGJELLY)
        seconds: float = 2.0
        precision: float = 0.01
        flush_l2: bool = True

        def __post_init__(self) -> None:
            # The batch is an axis of the shape here, so there is no list of batch sizes to check.
            check_lists([1], self.backends, shapes=self.shapes, dtypes=self.dtypes, phases=self.phases)
            for shape in self.shapes:
                if len(shape) < 2 or min(shape) < 1:
                    raise ValueError(f"a shape is [T, B, C, ...]: two sizes or more, each at least 1; got {list(shape)}")
            if not (self.seconds > 0 and self.precision > 0):
                raise ValueError("seconds and precision must be above 0")

    metrics = (KERNEL_TIME, KERNEL_SPOILED, KERNEL_SPEEDUP, KERNEL_BANDWIDTH, COPY_FRACTION, COPY_BANDWIDTH)
    version = 1
    needs_weights = False
    exclusive = True
    resumes = True

    def run(self, subject: Subject, options: Options) -> Iterator[Record]:
        """Shape by shape and dtype by dtype; within one, all backends, both phases and the copy are interleaved.

        What cannot be run here is ``unavailable`` with the reason; what breaks, out of memory included, is ``failed``, and the
        rest goes on. Records that ``subject.previous`` holds already are not measured again, but a ratio that is missing is
        measured with its base beside it.
        """
        from spikebench.harnesses._kernel import heat

        done: set[Address] = {_address(record) for record in subject.previous}
        ways = list(dict.fromkeys(Way(backend, phase) for phase, backend in product(options.phases, options.backends)))
        for point in (Point(shape, dtype) for shape, dtype in product(options.shapes, options.dtypes)):
            missing = [way for way in ways if not all(address in done for address in _addresses(point, way, options))]
            if missing or _key(COPY_BANDWIDTH, point.conditions) not in done:
                bases = [way for way in ways if way.backend == SPIKINGJELLY and way.phase in {other.phase for other in missing}]
                for record in heat.race(subject, point, list(dict.fromkeys([*missing, *bases])), options):
                    if _address(record) not in done:
                        done.add(_address(record))  # a shape that the suite names twice is measured once
                        yield record


def emitted(way: Way, backends: tuple[str, ...]) -> tuple[Metric, ...]:
    """The metrics of one way. SpikingJelly is no speed-up over itself, and without it there are none."""
    ratio = SPIKINGJELLY in backends and way.backend != SPIKINGJELLY
    return (KERNEL_TIME, KERNEL_SPOILED, *((KERNEL_SPEEDUP,) if ratio else ()), KERNEL_BANDWIDTH, COPY_FRACTION)


def _addresses(point: Point, way: Way, options: Harness.Options) -> list[Address]:
    return [_key(metric, point.conditions_of(way)) for metric in emitted(way, options.backends)]


def _key(metric: Metric, conditions: dict[str, Scalar]) -> Address:
    return (metric.name, *sorted(conditions.items()))


def _address(record: Record) -> Address:
    return (record.metric, *sorted(record.conditions.items()))
