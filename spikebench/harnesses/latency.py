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
from spikebench.harnesses._latency.metrics import (
    FIRST_CALL,
    FLIPPED,
    LATENCY,
    POWER_DRAW,
    SM_CLOCK,
    SPOILED,
    TEMPERATURE,
    THROUGHPUT,
)
from spikebench.harnesses._ways.ways import OURS, SPIKINGJELLYS, Dtype, Mode, Phase, Way, check_lists

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
        ``dtypes``: bf16 and fp16 are autocast; tf32 is fp32 whose products a GPU makes in TF32. ``phases``: training is forward,
        loss and backward. ``flush_l2``: a GPU's L2 cache is overwritten before each latency sample. ``fused``: beside each way of
        ours the same with BatchNorm and LIF in one kernel, where one runs (condition ``fused=auto``). ``fold``: beside each
        inference of ours the same with BatchNorm folded into weights (``fold=true``), and how many spikes that flips. Both round
        differently from the network that is counted.
        """

        batch_sizes: tuple[int, ...] = (1, 32)
        dtypes: tuple[Dtype, ...] = ("fp32",)
        modes: tuple[Mode, ...] = ("eager",)
        backends: tuple[str, ...] = (OURS,)
        phases: tuple[Phase, ...] = ("inference",)
        seconds: float = 5.0
        precision: float = 0.01
        flush_l2: bool = False
        fused: bool = False
        fold: bool = False

        def __post_init__(self) -> None:
            check_lists(self.batch_sizes, self.backends, dtypes=self.dtypes, modes=self.modes, phases=self.phases)
            if not (self.seconds > 0 and self.precision > 0):
                raise ValueError("seconds and precision must be above 0")

    metrics = (LATENCY, THROUGHPUT, FIRST_CALL, SPOILED, FLIPPED, SM_CLOCK, TEMPERATURE, POWER_DRAW)
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
                    pairs = product(options.backends, options.modes)
                    ways = [way for backend, mode in pairs for way in _twins(backend, mode, dtype, phase, options)]
                    missing = [way for way in ways if not _is_done(done, way, batch_size)]
                    if missing:
                        found = heat.race(subject, missing, batch_size, options.seconds, options.precision, options.flush_l2)
                        yield from (record for record in found if (record.metric, *_address(record)) not in done)


def _twins(backend: str, mode: Mode, dtype: Dtype, phase: Phase, options: Harness.Options) -> Iterator[Way]:
    """A way, and what ``fused`` and ``fold`` put beside it."""
    yield Way(backend, mode, dtype, phase)
    if backend not in SPIKINGJELLYS:
        if options.fused:
            yield Way(backend, mode, dtype, phase, fused=True)
        if options.fold and phase == "inference":
            yield Way(backend, mode, dtype, phase, fold=True)


def _address(record: Record) -> Address:
    return tuple(sorted(record.conditions.items()))


def _is_done(done: set[Address], way: Way, batch_size: int) -> bool:
    conditions = tuple(sorted(way.conditions(batch_size).items()))
    return all((metric.name, *conditions) in done for metric in (LATENCY, THROUGHPUT, FIRST_CALL, SPOILED))
