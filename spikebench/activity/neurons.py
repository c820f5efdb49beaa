"""Neuron layers: which modules are neurons, and how often each of them fired."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from spikebench.activity import loops
from spikebench.activity.nested import named_parts
from spikebench.activity.sums import KINDS, Host
from spikebench.activity.tracking import Fired
from spikebench.core.values import ValueKind, Values
from spikebench.derived.sites import NeuronLayer
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


def is_neuron(module: nn.Module, more: tuple[type[nn.Module], ...] = ()) -> bool:
    return isinstance(module, (SpikingNeuron, *_spikingjelly("neuron"), *more))


def emitted(module: nn.Module) -> Values | None:
    """What a neuron's output holds by declaration; None if that must be seen."""
    return module.emits if isinstance(module, SpikingNeuron) else None


def is_multi_step(module: nn.Module, spikes: Tensor, steps: int | None, samples: int) -> bool:
    """Whether ``spikes`` is (T, B, ...) rather than one step (B, ...)."""
    if isinstance(module, SpikingNeuron):
        return True
    mode = getattr(module, "step_mode", None)
    if mode in ("s", "m"):
        return bool(mode == "m")
    return spikes.dim() > 1 and spikes.shape[1] == samples and steps in (None, spikes.shape[0])


def reset_states(model: nn.Module) -> None:
    """SpikingJelly's neurons carry their membrane into the next call unless they are reset."""
    memory = _spikingjelly("memory")
    for _, module in named_parts(model) if memory else ():
        if isinstance(module, memory):
            module.reset()  # type: ignore[operator]


@dataclass
class _Call:
    """``fired`` (T, B): nonzero outputs by step and sample; the others 0-d, where the outputs' kind is not declared."""

    fired: Tensor
    low: Tensor | None
    high: Tensor | None
    wrong: Tensor | None


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
    by_step: list[int] = field(default_factory=list)
    by_sample: list[int] | None = field(default_factory=list)
    by_neuron: Tensor | None = None
    pending: list[_Call] = field(default_factory=list)

    def fired(self, inputs: Sequence[Tensor], spikes: Tensor, values: Values | None, multi_step: bool) -> Fired:
        """One call: ``spikes`` (T, B, ...) or, of a single-step neuron, (B, ...). Returns what readers may reuse."""
        x = _in_memory_order(spikes if multi_step else spikes.unsqueeze(0))
        low = high = wrong = None
        if values is None and x.numel():
            low, high = torch.aminmax(x)
            wrong = (x != x.round()).sum()
        if self.by_neuron is None or self.neurons != x.shape[2]:
            self.neurons, self.chances = x.shape[2], 0
            with torch.inference_mode(False):  # later passes may run outside of it, and add to this
                self.by_neuron = torch.zeros(self.neurons, device=x.device)
        fired, off = _firing(x.flatten(0, 1).contiguous(), 1.0 if values is None else values.scale, self.by_neuron)
        self.pending.append(_Call(fired.view(x.shape[:2]), low, high, wrong))
        self.chances += x.shape[0] * x.shape[1]
        self.updates += x.numel()
        self.observed |= values is None
        if values is not None:
            self._widen(values.kind)
        self.bytes_read += sum(tensor.numel() * tensor.element_size() for tensor in inputs)
        self.bytes_written += spikes.numel() * spikes.element_size()
        return Fired(fired, off, spikes.numel())

    def tensors(self) -> Iterator[Tensor]:
        for call in self.pending:
            yield call.fired
            yield from (tensor for tensor in (call.low, call.high, call.wrong) if tensor is not None)

    def settle(self, host: Host, samples: int) -> None:
        """Fold the pending calls in. Several calls of one step each are the time steps of this pass, in order."""
        step, split = 0, [0] * samples
        for call in self.pending:
            steps, batch = call.fired.shape
            values = host[id(call.fired)]
            for t in range(steps):
                row = [int(value) for value in values[t * batch : (t + 1) * batch]]
                if step == len(self.by_step):
                    self.by_step.append(0)
                self.by_step[step] += sum(row)
                step += 1
                if batch == samples:
                    split = [a + b for a, b in zip(split, row, strict=True)]
                else:
                    self.by_sample = None
            if call.low is not None and call.high is not None and call.wrong is not None:
                low, high, wrong = (host[id(tensor)][0] for tensor in (call.low, call.high, call.wrong))
                self._widen("real" if wrong else "binary" if low >= 0 and high <= 1 else "integer")
        if self.pending and self.by_sample is not None:
            self.by_sample += split
        self.time_steps = max(self.time_steps, step)
        self.pending.clear()

    def _widen(self, kind: ValueKind) -> None:
        self.emits = max(self.emits, kind, key=KINDS.index)

    def row(self, samples: int) -> NeuronLayer:
        spikes = sum(self.by_step)
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
            spikes=spikes,
            firing_rate=spikes / max(1, self.updates),
            firing_rate_by_step=tuple(fired / each_step for fired in self.by_step),
            dead_fraction=int((by_neuron == 0).sum()) / size,
            saturated_fraction=int((by_neuron == self.chances).sum()) / size,
            membrane_updates=self.updates,
            bytes_read=self.bytes_read,
            bytes_written=self.bytes_written,
        )
