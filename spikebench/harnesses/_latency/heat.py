"""One round of the latency harness: all ways to run one batch, side by side."""

from __future__ import annotations

import gc
import math
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median
from typing import Any

import torch

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
from spikebench.harnesses._timing.observe import Gpu
from spikebench.harnesses._timing.outcome import absent, let_go, verdict
from spikebench.harnesses._timing.race import Race
from spikebench.harnesses._timing.rule import Rule, Sample, Series, warm_up
from spikebench.harnesses._timing.sample import flush, timed
from spikebench.harnesses._timing.turns import current
from spikebench.harnesses._ways.contender import Contender, checkpointing_of, first_batch, settle
from spikebench.harnesses._ways.ways import Way

WINDOWS = 5
WINDOW_SECONDS = 0.1
SETTLING = 8
"""Samples whose BatchNorm statistics an untrained network is given."""


def race(
    subject: Subject, missing: Sequence[Way], batch_size: int, seconds: float, precision: float, flush_l2: bool
) -> Iterator[Record]:
    """Time ``missing`` against each other on one batch of ``batch_size`` test samples."""
    field = Field(subject, missing, batch_size)
    yield from field.start()
    rule = Rule(seconds, precision, least=50 if subject.device.type == "cuda" else 10)
    yield from field.warm_up(seconds / 2)
    yield from field.measure(rule, flush(subject.device) if flush_l2 else None)
    field.clear()


class Field:
    """The contenders still in the race, and how each one's end becomes records."""

    def __init__(self, subject: Subject, missing: Sequence[Way], batch_size: int) -> None:
        self.subject, self.batch_size, self.missing = subject, batch_size, missing
        self.device: torch.device = subject.device
        self.contenders: dict[Way, Contender] = {}
        self.remarks: dict[Way, list[str]] = {}

    def start(self) -> Iterator[Record]:
        """Make every contender and time its first call."""
        try:
            x, y = first_batch(self.subject.dataset, self.batch_size, self.device)
            model = settle(self.subject.model, first_batch(self.subject.dataset, SETTLING, self.device)[0])
        except Exception as error:
            for way in self.missing:
                yield from self._out(way, error)
            return
        for way in self.missing:
            try:
                contender = Contender(model, way, x, y, checkpointing_of(self.subject))
                seconds = timed(contender).seconds
                self.remarks[way] = [f"LIF by {contender.implementation()}"]
            except Exception as error:
                yield from self._out(way, error)
                continue
            self.contenders[way] = contender
            yield Record.of(FIRST_CALL, seconds, conditions=way.conditions(self.batch_size))
            if way.fold:
                changed, outputs = contender.flips(model)
                remark = f"{changed} of {outputs}; {contender.folded} BatchNorms folded"
                yield Record.of(FLIPPED, changed / outputs, conditions=way.conditions(self.batch_size), reason=remark)

    def warm_up(self, seconds: float) -> Iterator[Record]:
        for way, contender in list(self.contenders.items()):
            try:
                if not warm_up(lambda contender=contender: timed(contender), seconds):  # type: ignore[misc]
                    self.remarks[way].append(f"warm-up had not settled after {seconds:g} s")
            except Exception as error:
                yield from self._out(way, error)

    def measure(self, rule: Rule, before: Callable[[], None] | None) -> Iterator[Record]:
        """Latency by calls, then throughput by windows of calls; both interleaved."""
        observed = Observed(self.device)

        def call(contender: Contender) -> Sample:
            if before is not None:
                before()
            sample = timed(contender)
            observed.look()
            return sample

        abreast = current()
        latencies = Race({way: lambda c=c: call(c) for way, c in self.contenders.items()}, rule, turns=abreast)  # type: ignore[misc]
        latencies.run()
        for way, error in latencies.failed.items():
            yield from self._out(way, error)
        sizes = {way: _window_size(latencies.series[way].median) for way in self.contenders}
        windows = Race(
            {way: lambda c=c, n=sizes[way]: _window(c, n) for way, c in self.contenders.items()},  # type: ignore[misc]
            Rule(math.inf, precision=0.0, least=1, most=WINDOWS if abreast is None else 1),  # what is timed in turns is latency
        )
        windows.run()
        for way, error in windows.failed.items():
            yield from self._out(way, error)
        for way in list(self.contenders):
            yield from self._records(way, latencies.series[way], windows.series[way], sizes[way])
            yield from observed.records(way.conditions(self.batch_size))

    def clear(self) -> None:
        """Let go of every copy of the network, so that the next batch size finds the memory free."""
        self.contenders.clear()
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _records(self, way: Way, calls: Series, windows: Series, size: int) -> Iterator[Record]:
        conditions = way.conditions(self.batch_size)
        remarks = [*self.remarks[way], verdict(calls)]
        yield Record.of(LATENCY, calls.median, conditions=conditions, samples=calls.durations, reason="; ".join(remarks))
        flags = [int(sample.spoiled) for sample in calls.samples]
        yield Record.of(SPOILED, sum(flags), conditions=conditions, samples=flags)
        rates = [size * self.batch_size / sample.seconds for sample in windows.samples]
        yield Record.of(THROUGHPUT, median(rates), conditions=conditions, samples=rates, reason=f"windows of {size} calls")

    def _out(self, way: Way, error: Exception) -> Iterator[Record]:
        """The contender leaves; its numbers are absent, and the record says why."""
        self.contenders.pop(way, None)
        let_go(error, self.device)
        for metric in (FIRST_CALL, LATENCY, SPOILED, THROUGHPUT):
            if not (metric is FIRST_CALL and way in self.remarks):  # that one was had before it broke
                yield absent(metric, error, way.conditions(self.batch_size))


class Observed:
    """Clock, temperature and power of a GPU, looked at no oftener than every tenth of a second."""

    def __init__(self, device: torch.device) -> None:
        self.cuda = device.type == "cuda"
        self.reason, self.states, self.last = "", [], 0.0  # type: ignore[var-annotated]
        if self.cuda:
            try:
                self.gpu = Gpu(device.index or 0)
            except LookupError as error:
                self.reason = str(error)

    def look(self) -> None:
        if self.cuda and not self.reason and time.perf_counter() - self.last > 0.1:
            self.states.append(self.gpu.state())
            self.last = time.perf_counter()

    def records(self, conditions: Any) -> Iterator[Record]:
        """Medians with all samples; absent with the reason without NVML; nothing on a CPU."""
        if not self.cuda:
            return
        for metric, name in ((SM_CLOCK, "sm_clock"), (TEMPERATURE, "temperature"), (POWER_DRAW, "power")):
            samples = [getattr(state, name) for state in self.states]
            if samples:
                yield Record.of(metric, median(samples), conditions=conditions, samples=samples)
            else:
                yield Record.absent(metric, self.reason or "nothing was observed", conditions=conditions)


def _window(contender: Contender, calls: int) -> Sample:
    return timed(contender, calls)


def _window_size(latency: float) -> int:
    """Calls in a throughput window: at least three, and enough for a tenth of a second."""
    return max(3, math.ceil(WINDOW_SECONDS / latency))
