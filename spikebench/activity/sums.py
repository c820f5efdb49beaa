"""Sums of one pass: kept on the device until the pass ends, then added to whole Python numbers, in total and by sample."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from math import isfinite
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikebench.activity.measure import Measure
from spikebench.activity.provenance import Folded, Rows
from spikebench.core.errors import SpikebenchError
from spikebench.core.values import ValueKind, Values
from spikebench.derived.sites import Site

COUNTS = ("events", "events_left", "events_right", "unit_acs")
KINDS: Sequence[ValueKind] = ("binary", "integer", "real")
QUIET: Mapping[str, Any] = {"invalid": "ignore", "over": "ignore"}
"""numpy's warnings where sums meet infinity: what such an input is, its row says."""
Host = Mapping[int, Any]
"""id of a tensor -> its values on the host, a flat array of float64."""


def on_host(values: Any, host: Host) -> Any:
    """Values, flat, of a tensor or of numpy's array."""
    return host[id(values)] if isinstance(values, Tensor) else values.reshape(-1)


def number(value: Any, host: Host) -> float:
    """Of one element."""
    return float(host[id(value)][0]) if isinstance(value, Tensor) else float(value)


def whole(values: Any, factor: int = 1) -> tuple[list[int], int]:
    """(Whole numbers, at least 0, ``factor`` times as large; their sum). NaN and infinity count as 0: such an input is real, and
    its unit counts are left out.
    """
    total = float(values.sum())
    if total * factor < 1 << 53:  # which NaN and infinity are not
        return (values.astype(np.int64) * factor).tolist(), int(total) * factor
    finite = np.isfinite(values)
    known = values if finite.all() else np.where(finite, values, 0)
    exact = [int(value) * factor for value in known]
    return exact, sum(exact)


def _each(a: list[int] | None, b: list[int] | None) -> list[int] | None:
    """Added up one by one; None if either is."""
    return None if a is None or b is None else [x + y for x, y in zip(a, b, strict=True)]


class WrongDeclarationError(SpikebenchError):
    """A tensor holds something else than what made it has declared: a mistake in a network's code, not in its input."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One input of one call, single numbers (see ``Measure``), still on the device, and what it was declared to hold."""

    nonzero: Any
    total: Any
    low: Any
    high: Any
    wrong: Any
    elements: int
    declared: Values | None

    @classmethod
    def of(cls, measure: Measure, declared: Values | None) -> Seen:
        nonzero = measure.nonzero.sum() if measure.in_all is None else measure.in_all
        total = nonzero if measure.total is measure.nonzero else measure.total.sum()
        return cls(nonzero, total, measure.low, measure.high, measure.wrong, measure.elements, declared)

    def tensors(self) -> Iterator[Any]:
        yield from (self.nonzero, self.total, self.low, self.high, self.wrong)


@dataclass
class Operand:
    """What one input of a site held, over all calls."""

    nonzero: int = 0
    total: float = 0.0
    maximum: float | None = None
    elements: int = 0
    kind: ValueKind | None = None
    observed: bool = False

    def see(self, seen: Seen, host: Host, where: str) -> None:
        """Take in one call's input. Raises WrongDeclarationError."""
        low, high = number(seen.low, host), number(seen.high, host)
        wrong = None if seen.wrong is None else number(seen.wrong, host)
        declared = seen.declared
        kind = _kind(low, high, wrong) if declared is None else declared.kind
        if declared is not None and wrong:
            raise WrongDeclarationError(
                f"{where}: an input was declared {declared.kind} (scale {declared.scale:g}), but {wrong:.0f} of its "
                f"{seen.elements} elements are something else"
            )
        self.observed |= declared is None
        self.kind = kind if self.kind is None else max(self.kind, kind, key=KINDS.index)
        self.nonzero += int(number(seen.nonzero, host))
        self.total += number(seen.total, host)
        self.maximum = high if self.maximum is None else max(self.maximum, high)
        self.elements += seen.elements


def _kind(low: float, high: float, wrong: float | None) -> ValueKind:
    if wrong is None or wrong != 0 or not (abs(low) < 2**53 and abs(high) < 2**53):
        return "real"
    return "binary" if low >= 0 and high <= 1 else "integer"


@dataclass
class Call:
    """One call's sums, still on the device; ``folded``: ``counts`` by sample, and events by step, once it is known what tells
    samples apart, each with its factor.
    """

    counts: dict[str, Rows]
    operands: list[Seen]
    folded: dict[str, tuple[Folded, int]] = field(default_factory=dict)


@dataclass
class SiteSums:
    """All calls of one operation site."""

    site: int
    scope: str
    operation: str
    calls: int = 0
    fixed: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    by_sample: dict[str, list[int] | None] = field(default_factory=dict)
    by_step: list[int] | None = field(default_factory=list)
    operands: list[Operand] = field(default_factory=list)
    pending: list[Call] = field(default_factory=list)
    weight_bytes: int = 0
    """Of the weights that this pass has read: each image reads them again, and their number is known when it is over."""

    @property
    def group(self) -> tuple[str, str]:
        """What a loop written out has in common."""
        return self.scope, self.operation

    def add(self, **amounts: int) -> None:
        """Numbers that follow from shapes."""
        for name, amount in amounts.items():
            self.fixed[name] = self.fixed.get(name, 0) + amount

    def tensors(self, track: int | None, samples: int, steps: int | None) -> Iterator[Any]:
        """What must be on the host; the counts are folded to one number a sample, and events to one a step, first."""
        for call in self.pending:
            once: dict[object, Folded] = {}
            for name, rows in call.counts.items():
                key = id(rows.sums), rows.grid
                if key not in once:
                    once[key] = found = rows.fold(track, samples, steps if name == "events" else None)
                    yield from (found.by_index, found.by_step)
                call.folded[name] = once[key], rows.factor
            for seen in call.operands:
                yield from seen.tensors()

    def settle(self, host: Host, samples: int, before: int) -> None:
        """Fold the pending calls of one pass in, which had ``samples`` samples after ``before`` earlier ones."""
        found: dict[str, list[int] | None] = {}
        added, nothing = self.counts, [0] * samples
        for call in self.pending:
            if not self.operands:
                self.operands = [Operand() for _ in call.operands]
            for operand, seen in zip(self.operands, call.operands, strict=True):
                operand.see(seen, host, self.scope or "the network")
            self._step(call, host)
            once: dict[tuple[int, int], tuple[list[int] | None, int]] = {}
            for name, (folded, factor) in call.folded.items():
                key = id(folded), factor
                if key not in once:
                    values, total = whole(on_host(folded.by_index, host), factor)
                    if folded.of_none and len(values) == 1 and not total:
                        values = [0] * samples  # a state at rest
                    once[key] = values if len(values) == samples else None, total
                split, total = once[key]
                added[name] = added.get(name, 0) + total
                so_far = found.get(name, split)
                found[name] = split if so_far is split else _each(so_far, split)
        for name in {*found, *self.by_sample}:
            earlier = self.by_sample.setdefault(name, [0] * before)
            now = found.get(name, nothing)
            if earlier is None or now is None:
                self.by_sample[name] = None
            else:
                earlier += now
        self.add(bytes_read=self.weight_bytes * max(1, samples))
        self.forget()

    def _step(self, call: Call, host: Host) -> None:
        """Add a call's events by step; with one call whose steps lie otherwise those of the site are not known."""
        folded, factor = call.folded.get("events", (None, 1))
        if folded is None or folded.by_step is None or self.by_step is None:
            self.by_step = None
            return
        events = on_host(folded.by_step, host).tolist()
        if not all(map(isfinite, events)):
            self.by_step = None
            return
        self.by_step = [a + int(b) * factor for a, b in zip_longest(self.by_step, events, fillvalue=0)]

    def forget(self) -> None:
        """The pass is over, or has failed."""
        self.pending.clear()
        self.weight_bytes = 0

    def row(self) -> Site:
        kinds = [operand.kind or "real" for operand in self.operands]
        left = self.operands[0] if self.operands and self.operands[0].elements else None
        counts: dict[str, int | None] = {name: self.counts.get(name, 0) + self.fixed.get(name, 0) for name in COUNTS}
        if "real" in kinds:
            counts["unit_acs"] = None
        return Site(
            site=self.site,
            scope=self.scope,
            operation=self.operation,
            input=" x ".join(kinds),
            known_by="" if not kinds else "observed" if any(operand.observed for operand in self.operands) else "declared",
            calls=self.calls,
            nonzero_fraction=left.nonzero / left.elements if left else None,
            mean_value=left.total / left.elements if left else None,
            maximum=left.maximum if left else None,
            **{**self.fixed, **counts},  # type: ignore[arg-type]
        )


def unevenly_read(sites: Iterable[SiteSums], track: int | None, samples: int) -> set[tuple[str, str]]:
    """Groups of sites whose pending calls have read some samples more often than others: such a network does with a sample what
    its place in the batch says.
    """
    reads: dict[tuple[str, str], list[int]] = {}
    for site in sites:
        for call in site.pending:
            for rows in {id(rows): rows for rows in call.counts.values()}.values():
                more = rows.grid.reads(track, samples)
                if more is not None:
                    reads[site.group] = [a + b for a, b in zip(reads.get(site.group, [0] * samples), more, strict=True)]
    return {group for group, times in reads.items() if len(set(times)) > 1}


def to_host(values: Iterable[Any]) -> Host:
    """The values of every tensor among them, flattened, by ``id``: one transfer for each device. float64 holds counts exactly up
    to 2**53.
    """
    found: dict[int, Any] = {}
    by_device: dict[torch.device, list[tuple[int, Tensor]]] = {}
    for key, tensor in {id(tensor): tensor for tensor in values if isinstance(tensor, Tensor)}.items():
        flat = tensor.reshape(-1).to(torch.float64)
        if flat.is_cpu:
            found[key] = flat.numpy()
        else:
            by_device.setdefault(tensor.device, []).append((key, flat))
    for parts in by_device.values():
        numbers = torch.cat([part for _, part in parts]).cpu().numpy()
        start = 0
        for key, part in parts:
            found[key] = numbers[start : start + part.numel()]
            start += part.numel()
    return found
