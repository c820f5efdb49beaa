"""One round of the kernel harness: all ways to compute the LIF of one input, and a copy of it, side by side."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from statistics import median
from typing import TYPE_CHECKING, cast

import torch
from torch import Tensor

from spikebench.core.metrics import Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record, Status
from spikebench.harnesses._kernel.timed import Copy, Lif, Timed, inputs_of, neuron_of
from spikebench.harnesses._latency import heat
from spikebench.harnesses._timing.race import Race, Rule, Sample, Series, warm_up
from spikebench.harnesses._ways.contender import Contender, UnavailableError
from spikebench.harnesses._ways.ways import SPIKINGJELLY, SPIKINGJELLYS
from spikebench.harnesses.kernel import (
    COPY_BANDWIDTH,
    COPY_FRACTION,
    KERNEL_BANDWIDTH,
    KERNEL_SPEEDUP,
    KERNEL_SPOILED,
    KERNEL_TIME,
    Point,
    Way,
    emitted,
)

if TYPE_CHECKING:
    from spikebench.harnesses.kernel import Harness

COPY = Way("copy", "forward")
"""The copy's place in the race."""


class WrongResultError(Exception):
    """A backend of ours does not fire as the reference does."""


def race(subject: Subject, point: Point, ways: Sequence[Way], options: Harness.Options) -> Iterator[Record]:
    """Time ``ways`` against each other and against a copy of ``point``'s input."""
    field = Field(point, ways, options, subject.device)
    field.start(subject)
    field.warm_up()
    field.measure()
    yield from field.records()
    field.clear()


class Field:
    """The contenders of one input. Who breaks leaves the race, and ``lost`` keeps why."""

    def __init__(self, point: Point, ways: Sequence[Way], options: Harness.Options, device: torch.device) -> None:
        self.point, self.ways, self.options, self.device = point, ways, options, device
        self.contenders: dict[Way, Timed] = {}
        self.series: dict[Way, Series] = {}
        self.remarks: dict[Way, list[str]] = {}
        self.lost: dict[Way, tuple[Status, str]] = {}

    def start(self, subject: Subject) -> None:
        """Make every contender, call it once and look at its spikes."""
        try:
            neuron = neuron_of(subject.job.cell.variant, self.point, self.device)
            x, grad = inputs_of(self.point, self.device)
        except Exception as error:
            for way in (COPY, *self.ways):
                self._out(way, error)
            return
        try:
            self.contenders[COPY] = Copy(x)
            self.contenders[COPY]()
        except Exception as error:
            self._out(COPY, error)
        expected = self._expected(Way("reference", "forward"), neuron, x, grad)
        for way in self.ways:
            try:
                contender = Lif(neuron, way, x, grad)
                remark = _compare(contender, expected)
                contender()
            except Exception as error:
                self._out(way, error)
                continue
            self.contenders[way] = contender
            self.remarks[way] = [f"LIF by {contender.implementation}", remark]

    def warm_up(self) -> None:
        for way, contender in list(self.contenders.items()):
            try:
                settled = warm_up(lambda contender=contender: _timed(contender), self.options.seconds / 2)  # type: ignore[misc]
            except Exception as error:
                self._out(way, error)
                continue
            if not settled:
                self.remarks.setdefault(way, []).append("its warm-up had not settled when the time was up")

    def measure(self) -> None:
        """Calls, interleaved, until each contender's median is known well enough or the time is up."""
        before = heat._flush(self.device) if self.options.flush_l2 else None

        def call(contender: Timed) -> Sample:
            if before is not None:
                before()
            return _timed(contender)

        rule = Rule(self.options.seconds, self.options.precision, least=50 if self.device.type == "cuda" else 10)
        calls = Race({way: lambda c=c: call(c) for way, c in self.contenders.items()}, rule)  # type: ignore[misc]
        calls.run()
        self.series = {way: series for way, series in calls.series.items() if way not in calls.failed}
        for way, error in calls.failed.items():
            self._out(way, error)

    def records(self) -> Iterator[Record]:
        """The copy first, then way by way; what has no number says why."""
        if COPY in self.series:
            rates = [self.point.copied / sample.seconds for sample in self.series[COPY].samples]
            rate = self.point.copied / self.series[COPY].median
            reason = self._reason(COPY)
            yield Record.of(COPY_BANDWIDTH, rate, conditions=self.point.conditions, samples=rates, reason=reason)
        else:
            status, reason = self.lost[COPY]
            yield Record.absent(COPY_BANDWIDTH, reason, status=status, conditions=self.point.conditions)
        for way in self.ways:
            conditions = self.point.conditions_of(way)
            for metric in emitted(way, self.options.backends):
                if way in self.lost:
                    status, reason = self.lost[way]
                    yield Record.absent(metric, reason, status=status, conditions=conditions)
                else:
                    yield self._record(metric, way)

    def clear(self) -> None:
        """Let go of the tensors, so that the next input finds the memory free."""
        self.contenders.clear()
        self._collect()

    def _record(self, metric: Metric, way: Way) -> Record:
        series, conditions = self.series[way], self.point.conditions_of(way)
        floor = self.point.floor(way.phase)
        if metric is KERNEL_TIME:
            samples = [sample.seconds for sample in series.samples]
            return Record.of(metric, series.median, conditions=conditions, samples=samples, reason=self._reason(way))
        if metric is KERNEL_SPOILED:
            flags = [int(sample.spoiled) for sample in series.samples]
            return Record.of(metric, sum(flags), conditions=conditions, samples=flags)
        if metric is KERNEL_BANDWIDTH:
            return Record.of(metric, floor / series.median, conditions=conditions)
        if metric is KERNEL_SPEEDUP:
            return self._ratio(metric, way, Way(SPIKINGJELLY, way.phase), "SpikingJelly", 1.0)
        assert metric is COPY_FRACTION
        return self._ratio(metric, way, COPY, "the copy", floor / self.point.copied)

    def _ratio(self, metric: Metric, way: Way, base: Way, name: str, scale: float) -> Record:
        """``scale`` times the base's time over the way's, both of the same round: drift of the machine cancels."""
        conditions = self.point.conditions_of(way)
        if base in self.lost:
            status, reason = self.lost[base]
            return Record.absent(metric, f"nothing to compare with: {name}: {reason}", status=status, conditions=conditions)
        rounds = list(
            zip(self.series[base].samples, self.series[way].samples, strict=False)
        )  # one of them may have stopped first
        ratios = [scale * theirs.seconds / own.seconds for theirs, own in rounds]
        clean = [ratio for ratio, pair in zip(ratios, rounds, strict=True) if not any(sample.spoiled for sample in pair)]
        busy = 2 * len(clean) < len(ratios)
        spoiled = f"{len(ratios) - len(clean)} spoiled and {'kept: the machine was busy' if busy else 'left out'}"
        reason = f"base: {name}, median {self.series[base].median * 1e3:.4g} ms; {len(ratios)} shared rounds, {spoiled}"
        return Record.of(metric, median(ratios if busy else clean), conditions=conditions, samples=ratios, reason=reason)

    def _reason(self, way: Way) -> str:
        return "; ".join(filter(None, [*self.remarks.get(way, ()), heat._verdict(self.series[way])]))

    def _expected(self, way: Way, *arguments: object) -> Tensor | str:
        """The reference's spikes, or why there are none to compare with."""
        try:
            return Lif(arguments[0], way, *arguments[1:]).spikes()  # type: ignore[arg-type]
        except Exception as error:
            return f"spikes not compared with the reference's: {type(error).__name__}: {heat._first_line(error)}"

    def _out(self, way: Way, error: Exception) -> None:
        """The contender leaves, and with it what it held."""
        self.contenders.pop(way, None)
        unavailable = isinstance(error, UnavailableError)
        words = str(error) if unavailable else f"{type(error).__name__}: {heat._first_line(error)}"
        self.lost[way] = ("unavailable" if unavailable else "failed", words)
        error.__traceback__ = None  # it holds the frames, and so the tensors, of what failed
        self._collect()

    def _collect(self) -> None:
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()


def _compare(contender: Lif, expected: Tensor | str) -> str:
    """A remark on the contender's spikes. Raises WrongResultError where one of ours does not fire as the reference."""
    spikes = contender.spikes()
    if isinstance(expected, str):
        return expected
    different = int((spikes != expected).sum())
    if not different:
        return "spikes equal to the reference's"
    found = f"{different} of {expected.numel()} spikes differ from the reference's"
    if contender.way.backend in SPIKINGJELLYS:
        return found
    raise WrongResultError(f"{found}; a wrong result has no speed")


def _timed(contender: Timed) -> Sample:
    return heat._timed(cast("Contender", contender))  # it asks for the device, synchronize and the call alone
