"""Spikes counted while they are written, for whoever observes a network: reading them again costs as much as writing them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from spikebench.kernels import _layout


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one call's spikes (T, B, ...): ``by_run`` (T, B, N / run) how many of ``run`` neurons side by side in memory fired,
    ``by_neuron`` (N,) how often each of a sample's N neurons did, in the order of memory. float32, whole numbers below 2**24.

    A run is a position's channels where these are innermost, else a sample.
    """

    by_run: Tensor
    by_neuron: Tensor
    run: int


Listener = Callable[[Tensor, Counts], None]
_listeners: list[Listener] = []


@contextmanager
def counting_spikes(listener: Listener) -> Iterator[None]:
    """Inside the block every ``lif`` without gradient hands its spikes and their counts to ``listener``; in the whole process."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def wanted() -> bool:
    """Whether anybody listens."""
    return bool(_listeners)


def tell(spikes: Tensor, counts: Counts) -> None:
    """Hand over what one call has counted."""
    for listener in _listeners:
        listener(spikes, counts)


def run_of(x: Tensor) -> int | None:
    """How many neurons of ``x`` (T, B, C, ...) make a run; None where samples do not lie one after the other in memory, or are so
    large that float32 cannot count them.
    """
    if x.dim() < 3 or not x.numel() or not _layout.is_dense(x[0]):
        return None
    neurons = x[0, 0].numel()
    if x.stride(1) != neurons and x.shape[1] > 1:
        return None
    run = x.shape[2] if x.stride(2) == 1 else neurons
    return run if max(run, x.shape[0] * x.shape[1]) < 1 << 24 else None


def count(spikes: Tensor, by_run: Tensor, by_neuron: Tensor) -> None:
    """Fill both from ``spikes`` (T, M): what a backend without a counting kernel does."""
    fired = spikes.ne(0)
    T, neurons = len(spikes), len(by_neuron)
    by_run.copy_(torch.unflatten(fired, 1, (by_run.shape[1], -1)).sum(2))
    by_neuron.copy_(fired.reshape(T * fired.shape[1] // neurons, neurons).sum(0))
