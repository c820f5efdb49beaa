"""Latency, throughput and first-call time, every backend and mode interleaved in one process; all samples are kept.

The protocol is that of references.md 8: state is reset inside the timed call; warm-up until three windows agree within 2 %; a
series stops when the 95 % interval of its median is within ``precision``, or when its time is up, and its record says which.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import TypeAlias

from spikebench.core.protocols import Subject
from spikebench.core.records import Record
from spikebench.harnesses._latency.metrics import FIRST_CALL, LATENCY, POWER_DRAW, SM_CLOCK, SPOILED, TEMPERATURE, THROUGHPUT
from spikebench.harnesses._ways.ways import OURS, Dtype, Mode, Phase, Way, check_lists

Address: TypeAlias = tuple[Hashable, ...]


class Harness:
    """Runs alone on its machine.

    Weights do not matter to the time of a dense computation, so none are needed: the network is as initialised, its BatchNorm
    statistics those of eight test samples, so that its neurons fire.
    """

    @dataclass(frozen=True)
    class Options:
        """What is timed is every combination of the lists; ``seconds`` is spent at most on each, and half of it on its warm-up.

        ``backends``: ``spikebench`` chooses the fastest of ours that can run; ``reference``, ``torch``, ``numba`` ... are ours by
        name; ``spikingjelly`` is the same network with SpikingJelly's LIF; ``spikingjelly-compiled`` compiles that LIF.
        ``dtypes``: bf16 and fp16 are autocast. ``phases``: training is forward, loss and backward. ``flush_l2``: a GPU's L2 cache
        is overwritten before every latency sample.
        """

        batch_sizes: tuple[int, ...] = (1, 32)
        dtypes: tuple[Dtype, ...] = ("fp32",)
        modes: tuple[Mode, ...] = ("eager",)
        backends: tuple[str, ...] = (OURS,)
        phases: tuple[Phase, ...] = ("inference",)
        seconds: float = 5.0
        precision: float = 0.01
        flush_l2: bool = False

        def __post_init__(self) -> None:
            check_lists(self.batch_sizes, self.backends, dtypes=self.dtypes, modes=self.modes, phases=self.phases)
            if not (self.seconds > 0 and self.precision > 0):
                raise ValueError("seconds and precision must be above 0")

    metrics = (LATENCY, THROUGHPUT, FIRST_CALL, SPOILED, SM_CLOCK, TEMPERATURE, POWER_DRAW)
    version = 1
    needs_weights = False
    exclusive = True
    resumes = True
    stage = False

    def run(self, subject: Subject, options: Options) -> Iterator[Record]:
        """Batch size by batch size; within one, all backends and modes are interleaved.

        What cannot be run here is ``unavailable`` with the reason; what breaks, out of memory included, is ``failed``, and
        the rest goes on. Records that ``subject.previous`` holds already are not measured again.
        """
        from spikebench.harnesses._latency import heat

        done: set[Address] = {(record.metric, *_address(record)) for record in subject.previous}
        for batch_size in options.batch_sizes:
            for phase in options.phases:
                for dtype in options.dtypes:
                    ways = [Way(backend, mode, dtype, phase) for backend, mode in product(options.backends, options.modes)]
                    missing = [way for way in ways if not _is_done(done, way, batch_size)]
                    if missing:
                        found = heat.race(subject, missing, batch_size, options.seconds, options.precision, options.flush_l2)
                        yield from (record for record in found if (record.metric, *_address(record)) not in done)


def _address(record: Record) -> Address:
    return tuple(sorted(record.conditions.items()))


def _is_done(done: set[Address], way: Way, batch_size: int) -> bool:
    conditions = tuple(sorted(way.conditions(batch_size).items()))
    return all((metric.name, *conditions) in done for metric in (LATENCY, THROUGHPUT, FIRST_CALL, SPOILED))
