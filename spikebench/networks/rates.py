"""Mean firing rates of a forward pass, with their gradients: what a regulariser that asks for fewer spikes needs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor

_collections: list[list[Tensor]] = []


@contextmanager
def collecting_rates() -> Iterator[list[Tensor]]:
    """A list that each neuron layer called inside the block appends its mean output to, a 0-d tensor with gradient.

    For binary spikes that is the firing rate; for integer neurons the mean spike count. Layers come in the order of their calls.
    Nothing is collected, and nothing computed, outside such a block.
    """
    rates: list[Tensor] = []
    _collections.append(rates)
    try:
        yield rates
    finally:
        _collections.remove(rates)


def collecting() -> bool:
    """Whether rates are collected now."""
    return bool(_collections)


def note_rate(spikes: Tensor) -> None:
    """Called by every neuron layer with its output (T, B, ...)."""
    if _collections:
        rate = spikes.mean()
        for rates in _collections:
            rates.append(rate)
