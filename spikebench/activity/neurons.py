"""Neuron layers: which modules are neurons, and how often each of them fired."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikebench.activity import loops, totals
from spikebench.activity.layout import Layout
from spikebench.activity.measure import on_device
from spikebench.activity.nested import named_parts
from spikebench.activity.provenance import MIXED, TRACKS, Along, Grid, Places
from spikebench.activity.steps import Steps
from spikebench.activity.sums import KINDS, Host, number, on_host
from spikebench.activity.tracking import Fired
from spikebench.core.values import ValueKind, Values
from spikebench.derived.sites import NeuronLayer
from spikebench.kernels.lif import Counts
from spikebench.networks.neurons._base import SpikingNeuron


def _spikingjelly(name: str) -> tuple[type[nn.Module], ...]:
    """SpikingJelly's base classes, without importing it: a network that has its neurons has loaded it."""
    base = sys.modules.get("spikingjelly.activation_based.base")
    neuron = sys.modules.get("spikingjelly.activation_based.neuron")
    if name == "memory":
        return () if base is None else (base.MemoryModule,)
    found = [
        getattr(neuron, cls, None) for cls in ("BaseNode", "SimpleBaseNode", "FewSpikeNode", "DSRIFNode", "DSRLIFNode", "PSN")
    ]
    return tuple(cls for cls in found if cls is not None)


def known_neurons() -> tuple[type[nn.Module], ...]:
    """Classes whose modules are neuron layers."""
    return (SpikingNeuron, *_spikingjelly("neuron"))


def emitted(module: nn.Module) -> Values | None:
    """What a neuron's output holds by declaration; None if that must be seen."""
    return module.emits if isinstance(module, SpikingNeuron) else None


def reset_states(model: nn.Module) -> None:
    """SpikingJelly's neurons carry their membrane into the next call unless they are reset."""
    memory = _spikingjelly("memory")
    for _, module in named_parts(model) if memory else ():
        if isinstance(module, memory):
            module.reset()  # type: ignore[operator]


@dataclass
class _Call:
    """``fired`` (T B,): nonzero outputs by step and sample, as ``grid`` says; the others 0-d, where the outputs' kind is not
    declared.
    """

    fired: Any
    grid: Grid
    steps_known: bool
    low: Tensor | None
    high: Tensor | None
    wrong: Tensor | None


@dataclass(frozen=True, slots=True)
class Seen:
    """Of a neuron's call, whatever fired: the axes (T, B) of its sums, whether its steps are ``known``, what it declares."""

    grid: Grid
    known: bool
    kind: ValueKind | None
    elements: int
    bytes_read: int
    bytes_written: int


def _samples_second(x: Tensor, grid: Grid, track: int | None) -> tuple[Tensor, Grid]:
    """(T, B, ...) of (T, ...), where it is known that another axis holds the samples."""
    place = grid.places[track] if track is not None else "mixed"
    if isinstance(place, str) or not place.axis:
        return x, grid
    if place.inner > 1 and place.shift == 0 and x.shape[place.axis] % (place.inner * place.size) == 0:
        x = torch.unflatten(x, place.axis, (-1, place.inner))
    elif place.axis == 1:
        return x, grid
    elif place.inner > 1:
        return x, Grid(grid.shape, MIXED)
    x = x.movedim(place.axis, 1)
    second = Along(1, place.size, 1, place.shift if place.inner == 1 else 0)
    return x, Grid(tuple(x.shape), tuple(second if each == track else "mixed" for each in range(TRACKS)))


def _in_memory_order(x: Tensor) -> Tensor:
    """(T, B, neurons) of (T, B, ...): which neuron is which does not matter, so that channels-last outputs need no copy."""
    if x.dim() < 2:
        return x.reshape(1, 1, x.numel())
    inner = sorted(range(2, x.dim()), key=x.stride, reverse=True)
    return x.permute(0, 1, *inner).reshape(*x.shape[:2], x.shape[2:].numel())


def _firing(x: Tensor, scale: float, by_neuron: Tensor) -> tuple[Tensor, Tensor]:
    """Of x (rows, neurons): how many outputs of each row are nonzero, and how many in all are neither 0 nor ``scale``.

    The outputs of each neuron are added to ``by_neuron``: exact up to 2**24 steps times samples.
    """
    if loops.fits(x):
        return loops.firing(x, scale, by_neuron)
    # Comparing into a float buffer: summing that is several times faster than summing booleans.
    nonzero = torch.ne(x, 0, out=torch.empty_like(x, dtype=torch.float32))
    by_neuron += nonzero.sum(0)
    return nonzero.sum(1, dtype=torch.float64), (x.ne(0) & x.ne(scale)).sum()


def by_row(by_run: Tensor) -> Any:
    """(T B,) float64, of ``Counts.by_run`` (T, B, runs): see ``Measure``."""
    if by_run.is_cpu:
        return totals.fold(by_run.numpy(), 1, by_run.shape[2])[0]
    return by_run.sum(2, dtype=torch.float64).flatten()


def _by_index(calls: Sequence[Any], grids: Sequence[Grid], track: int | None, size: int) -> list[int] | None:
    """Calls' values over their grids (T, B), row by row, by index of a track; None where indices cannot be told apart, or some
    are read more often than others.
    """
    found, reads = np.zeros(size), [0] * size
    for values, grid in zip(calls, grids, strict=True):
        place = "mixed" if track is None else grid.places[track]
        if size == 1 or (place == "all" and not values.any()):
            place = Along(None, size)
        elif more := grid.reads(track, size):
            reads = [a + b for a, b in zip(reads, more, strict=True)]
        if isinstance(place, str) or place.size != size:
            return None
        batch = max(1, grid.shape[1])
        if place == Along(1, batch):
            found += totals.fold(values, batch, 1)[1]
            continue
        for i, value in enumerate(values):
            found[place.index_of(i // batch if place.axis == 0 else i % batch)] += value
    return found.astype(np.int64).tolist() if len(set(reads)) <= 1 else None


@dataclass
class NeuronSums:
    """All calls of one neuron layer."""

    site: int
    scope: str
    kind: str
    emits: ValueKind = "binary"
    observed: bool = False
    neurons: int = 0
    time_steps: int = 0
    chances: int = 0
    updates: int = 0
    bytes_read: int = 0
    bytes_written: int = 0
    declared: bool = True
    spikes: int = 0
    by_step: list[int] | None = field(default_factory=list)
    by_sample: list[int] | None = field(default_factory=list)
    by_neuron: Tensor | None = None
    pending: list[_Call] = field(default_factory=list)
    before: Places | None = None
    """Where the state belongs that the last call has left."""

    def fired(
        self,
        spikes: Tensor,
        values: Values | None,
        steps: Steps,
        places: Places,
        track: int | None,
        bytes_read: int,
    ) -> Fired:
        """One call, whose spikes belong to ``places``; the samples are on ``track``. Returns what readers may reuse."""
        apart, seen = self.shape_of(spikes, values, steps, places, track, bytes_read)
        x = _in_memory_order(apart)
        low = high = wrong = None
        if values is None and x.numel():
            low, high = torch.aminmax(x)
            wrong = (x != x.round()).sum()
        by_neuron = self._make_room(x.shape[2], x.device)
        fired, off = _firing(x.flatten(0, 1).contiguous(), 1.0 if values is None else values.scale, by_neuron)
        sums = on_device(fired)
        self._add(seen, _Call(sums, seen.grid, seen.known, low, high, wrong))
        return Fired(sums, seen.grid, off, spikes.numel())

    def shape_of(
        self, spikes: Tensor, values: Values | None, steps: Steps, places: Places, track: int | None, bytes_read: int
    ) -> tuple[Tensor, Seen]:
        """``spikes`` as (T, B, ...), and what does not depend on them."""
        self.declared &= steps.declared
        whole = Grid(tuple(spikes.shape), places)
        apart, grid = _samples_second(*((spikes, whole) if steps.multi else (spikes.unsqueeze(0), whole.with_first())), track)
        grid = grid.leading(2) if apart.dim() > 1 else Grid((1, 1), MIXED)
        written = spikes.numel() * spikes.element_size()
        return apart, Seen(grid, steps.known, None if values is None else values.kind, spikes.numel(), bytes_read, written)

    def told(self, seen: Seen, counts: Counts) -> Fired:
        """One call, whose spikes need not be read, as their kernel has counted them: zeros and ones."""
        by_neuron = self._make_room(len(counts.by_neuron), counts.by_neuron.device)
        by_neuron += counts.by_neuron
        fired = by_row(counts.by_run)
        self._add(seen, _Call(fired, seen.grid, seen.known, None, None, None))
        return Fired(fired, seen.grid, 0.0, seen.elements, counts)

    def _make_room(self, neurons: int, device: torch.device) -> Tensor:
        if self.by_neuron is None or self.neurons != neurons:
            self.neurons, self.chances = neurons, 0
            with torch.inference_mode(False):  # later passes may run outside of it, and add to this
                self.by_neuron = torch.zeros(neurons, device=device)
        return self.by_neuron

    def _add(self, seen: Seen, call: _Call) -> None:
        self.pending.append(call)
        self.chances += prod(seen.grid.shape)
        self.updates += seen.elements
        if seen.kind is None:
            self.observed = True
        else:
            self._widen(seen.kind)
        self.bytes_read += seen.bytes_read
        self.bytes_written += seen.bytes_written

    def steps_in_pass(self) -> int:
        return sum(call.grid.shape[0] for call in self.pending)

    def tensors(self) -> Iterator[Any]:
        for call in self.pending:
            yield from (call.fired, call.low, call.high, call.wrong)

    def settle(self, host: Host, layout: Layout) -> None:
        """Fold the pending calls in. Several calls of one step each are the time steps of this pass, in order."""
        if not self.pending:
            return
        rows = [on_host(call.fired, host) for call in self.pending]
        grids = [call.grid for call in self.pending]
        in_order: list[int] = []
        for call, values in zip(self.pending, rows, strict=True):
            in_order += map(int, totals.fold(values, max(1, call.grid.shape[1]), 1)[0])
            if call.low is not None and call.high is not None and call.wrong is not None:
                low, high, wrong = (number(value, host) for value in (call.low, call.high, call.wrong))
                self._widen("real" if wrong else "binary" if low >= 0 and high <= 1 else "integer")
        self.spikes += sum(in_order)
        steps: list[int] | None = in_order
        known = all(call.steps_known for call in self.pending)
        if not known or (not self.declared and layout.steps not in (None, len(in_order))):
            steps = _by_index(rows, grids, layout.time_track, layout.steps) if layout.steps else None
        split = _by_index(rows, grids, layout.track, layout.samples)
        self.by_sample = None if self.by_sample is None or split is None else self.by_sample + split
        if steps is None or self.by_step is None:
            self.by_step = None
        else:
            self.by_step = [a + b for a, b in zip_longest(self.by_step, steps, fillvalue=0)]
        self.time_steps = max(self.time_steps, len(in_order if steps is None else steps))
        self.forget()

    def forget(self) -> None:
        """The pass is over, or has failed."""
        self.pending.clear()
        self.before = None

    def _widen(self, kind: ValueKind) -> None:
        self.emits = max(self.emits, kind, key=KINDS.index)

    def row(self, samples: int) -> NeuronLayer:
        size = max(1, self.neurons)
        each_step = max(1, self.updates // max(1, self.time_steps))
        by_neuron = torch.zeros(1) if self.by_neuron is None else self.by_neuron
        return NeuronLayer(
            site=self.site,
            scope=self.scope,
            kind=self.kind,
            emits=self.emits,
            known_by="observed" if self.observed else "declared",
            neurons=self.neurons,
            time_steps=self.time_steps,
            samples=samples,
            spikes=self.spikes,
            firing_rate=self.spikes / max(1, self.updates),
            firing_rate_by_step=tuple(fired / each_step for fired in self.by_step or ()),
            dead_fraction=int((by_neuron == 0).sum()) / size,
            saturated_fraction=int((by_neuron == self.chances).sum()) / size,
            membrane_updates=self.updates,
            bytes_read=self.bytes_read,
            bytes_written=self.bytes_written,
        )
