"""What the numbers in a tensor are: spikes, counts of spikes, or real values.

The cost of a layer depends on what its input holds, so whoever makes a tensor declares it: ``declare(spikes, BINARY)``. Outside a
counting pass this costs one truth test. The counter (``spikebench.activity``) listens, follows the declaration through views,
pooling and sums, and checks it against the values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

TensorT = TypeVar("TensorT")
ValueKind = Literal["binary", "integer", "real"]


@dataclass(frozen=True, slots=True)
class Values:
    """``kind`` of the values; ``scale`` is the constant that was multiplied in: every value is ``scale`` times such a number.

    SSA's ``0.125 * Q K^T V`` is ``Values("integer", 0.125)``: hardware folds the scale into the threshold (references.md 1.1).
    """

    kind: ValueKind
    scale: float = 1.0


BINARY = Values("binary")
INTEGER = Values("integer")
REAL = Values("real")

Listener = Callable[[Any, Values], None]
_listeners: list[Listener] = []


def declare(tensor: TensorT, values: Values) -> TensorT:
    """Say what ``tensor`` holds and return it unchanged."""
    for listener in _listeners:
        listener(tensor, values)
    return tensor


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Hand every declaration made inside the block to ``listener``."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
