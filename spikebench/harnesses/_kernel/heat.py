"""One round of the kernel harness: all ways to compute the LIF of one input, and a copy of it, side by side."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

import torch
from torch import Tensor

from spikebench.core.metrics import Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record
from spikebench.harnesses._kernel.metrics import (
    COPY_BANDWIDTH,
    COPY_FRACTION,
    KERNEL_BANDWIDTH,
    KERNEL_SPEEDUP,
    KERNEL_SPOILED,
    KERNEL_TIME,
    emitted,
)
from spikebench.harnesses._kernel.points import Point, Way
from spikebench.harnesses._kernel.timed import Copy, Lif, Timed, inputs_of, neuron_of
from spikebench.harnesses._timing.outcome import absent, let_go, reason_of, verdict
from spikebench.harnesses._timing.race import Race
from spikebench.harnesses._timing.rule import Rule, Sample, Series, warm_up
from spikebench.harnesses._timing.sample import flush, timed
from spikebench.harnesses._timing.turns import current
from spikebench.harnesses._ways.ways import SPIKINGJELLY, SPIKINGJELLYS

COPY = Way("copy", "forward")
"""The copy's place in the race."""


@dataclass(frozen=True)
class Effort:
    """How long each contender may take, how well its median must be known, and whether a GPU's L2 cache is overwritten."""

    seconds: float
    precision: float
    flush_l2: bool


class WrongResultError(Exception):
    """A backend of ours does not fire as the reference does."""


def race(subject: Subject, point: Point, ways: Sequence[Way], backends: tuple[str, ...], effort: Effort) -> Iterator[Record]:
    """Time ``ways`` against each other and against a copy of ``point``'s input; ``backends`` are all that the suite names."""
    field = Field(point, ways, backends, effort, subject.device)
    field.start(subject)
    field.warm_up()
    field.measure()
    yield from field.records()
    field.clear()


class Field:
    """The contenders of one input. Who breaks leaves the race, and ``lost`` keeps why."""

    def __init__(
        self, point: Point, ways: Sequence[Way], backends: tuple[str, ...], effort: Effort, device: torch.device
    ) -> None:
        self.point, self.ways, self.backends, self.effort, self.device = point, ways, backends, effort, device
        self.contenders: dict[Way, Timed] = {}
        self.series: dict[Way, Series] = {}
        self.remarks: dict[Way, list[str]] = {}
        self.lost: dict[Way, Exception] = {}

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
                settled = warm_up(lambda contender=contender: timed(contender), self.effort.seconds / 2)  # type: ignore[misc]
            except Exception as error:
                self._out(way, error)
                continue
            if not settled:
                self.remarks.setdefault(way, []).append("its warm-up had not settled when the time was up")

    def measure(self) -> None:
        """Calls, interleaved, until each contender's median is known well enough or the time is up."""
        before = flush(self.device) if self.effort.flush_l2 else None

        def call(contender: Timed) -> Sample:
            if before is not None:
                before()
            return timed(contender)

        rule = Rule(self.effort.seconds, self.effort.precision, least=50 if self.device.type == "cuda" else 10)
        calls = Race({way: lambda c=c: call(c) for way, c in self.contenders.items()}, rule, turns=current())  # type: ignore[misc]
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
            yield absent(COPY_BANDWIDTH, self.lost[COPY], self.point.conditions)
        for way in self.ways:
            conditions = self.point.conditions_of(way)
            for metric in emitted(way, self.backends):
                if way in self.lost:
                    yield absent(metric, self.lost[way], conditions)
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
            return Record.of(metric, series.median, conditions=conditions, samples=series.durations, reason=self._reason(way))
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
            missing = absent(metric, self.lost[base], conditions)
            return replace(missing, reason=f"nothing to compare with: {name}: {missing.reason}")
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
        return "; ".join(filter(None, [*self.remarks.get(way, ()), verdict(self.series[way])]))

    def _expected(self, way: Way, *arguments: object) -> Tensor | str:
        """The reference's spikes, or why there are none to compare with."""
        try:
            return Lif(arguments[0], way, *arguments[1:]).spikes()  # type: ignore[arg-type]
        except Exception as error:
            return f"spikes not compared with the reference's: {reason_of(error)}"

    def _out(self, way: Way, error: Exception) -> None:
        """The contender leaves, and with it what it held."""
        self.contenders.pop(way, None)
        self.lost[way] = error
        let_go(error, self.device)

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
