"""Shortcuts compute the same network with less work. Counting switches them off: counts belong to the network as declared."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor

_off = 0
_fusing = 0
_fusing_bn_lif = 0


def enabled() -> bool:
    """Whether shortcuts may be taken now: the first convolution once for a static image, the cheaper product order."""
    return _off == 0


def is_static(x: Tensor) -> bool:
    """Whether ``x`` (T, B, ...) is one step expanded over T, and computing it once is allowed."""
    return x.shape[0] > 1 and x.stride(0) == 0 and enabled()


def over_steps(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """``function`` of steps (T, B, ...), each by itself; of the first alone, expanded over T, if ``x`` is static."""
    if not is_static(x):
        return function(x)
    once = function(x[:1])
    return once.expand(x.shape[0], *once.shape[1:])


def fuses_qkv() -> bool:
    """Whether Q, K and V are one matrix product now."""
    return enabled() and _fusing > 0


@contextmanager
def fusing_qkv() -> Iterator[None]:
    """Inside the block Q, K and V are one matrix product, equal to the bit.

    Not the default: on a CPU it gains nothing (``tests/benchmarks/test_networks.py``); on a GPU it was not measured.
    """
    global _fusing
    _fusing += 1
    try:
        yield
    finally:
        _fusing -= 1


def fuses_bn_lif() -> bool:
    """Whether BatchNorm and LIF are one kernel now, where one runs (``networks.fused``)."""
    return enabled() and _fusing_bn_lif > 0


@contextmanager
def fusing_bn_lif() -> Iterator[None]:
    """Inside the block BatchNorm and the LIF behind it are one kernel, equal up to rounding. For the whole process.

    Not the default: a network is trained and evaluated as declared unless somebody asks, and then the record says so.
    """
    global _fusing_bn_lif
    _fusing_bn_lif += 1
    try:
        yield
    finally:
        _fusing_bn_lif -= 1


@contextmanager
def without_shortcuts() -> Iterator[None]:
    """Inside the block every time step is computed, and attention products in the order that the preset's authors published.

    Nests. Holds for the whole process, not for one thread: do not count and time at once.
    """
    global _off
    _off += 1
    try:
        yield
    finally:
        _off -= 1
