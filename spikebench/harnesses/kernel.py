"""The LIF alone, each backend against SpikingJelly 2 and a device copy in the same rounds, by shape, dtype and phase.

Byte floors and protocol: references.md 8. Nothing of the network is built: the cell gives the neuron's parameters and its
surrogate.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias, get_args

from spikebench.core.metrics import Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record, Scalar
from spikebench.harnesses._kernel.metrics import (
    COPY_BANDWIDTH,
    COPY_FRACTION,
    KERNEL_BANDWIDTH,
    KERNEL_SPEEDUP,
    KERNEL_SPOILED,
    KERNEL_TIME,
    emitted,
)
from spikebench.harnesses._kernel.points import Phase, Point, Shape, Way
from spikebench.harnesses._ways.ways import SPIKINGJELLY, Dtype, check_lists

Address: TypeAlias = tuple[Hashable, ...]


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
    stage = False

    def run(self, subject: Subject, options: Options) -> Iterator[Record]:
        """Shape by shape and dtype by dtype; within one, all backends, both phases and the copy are interleaved.

        What cannot be run here is ``unavailable`` with the reason; what breaks, out of memory included, is ``failed``, and the
        rest goes on. Records that ``subject.previous`` holds already are not measured again, but a ratio that is missing is
        measured with its base beside it.
        """
        from spikebench.harnesses._kernel import heat

        effort = heat.Effort(options.seconds, options.precision, options.flush_l2)
        done: set[Address] = {_address(record) for record in subject.previous}
        ways = list(dict.fromkeys(Way(backend, phase) for phase, backend in product(options.phases, options.backends)))
        for point in (Point(shape, dtype) for shape, dtype in product(options.shapes, options.dtypes)):
            missing = [way for way in ways if not all(address in done for address in _addresses(point, way, options))]
            if missing or _key(COPY_BANDWIDTH, point.conditions) not in done:
                bases = [way for way in ways if way.backend == SPIKINGJELLY and way.phase in {other.phase for other in missing}]
                for record in heat.race(subject, point, list(dict.fromkeys([*missing, *bases])), options.backends, effort):
                    if _address(record) not in done:
                        done.add(_address(record))  # a shape that the suite names twice is measured once
                        yield record


def _addresses(point: Point, way: Way, options: Harness.Options) -> list[Address]:
    return [_key(metric, point.conditions_of(way)) for metric in emitted(way, options.backends)]


def _key(metric: Metric, conditions: dict[str, Scalar]) -> Address:
    return (metric.name, *sorted(conditions.items()))


def _address(record: Record) -> Address:
    return (record.metric, *sorted(record.conditions.items()))
