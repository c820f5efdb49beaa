"""What a tensor holds, reduced along one axis: how many elements are nonzero, what they add up to, what they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from spikebench.activity import loops
from spikebench.activity.kinds import exact
from spikebench.core.values import Values

_TOLERANCE = 1e-3
"""Distance from a whole number that division by a declared scale such as 1/sqrt(d) may leave in fp32."""
_ROUNDINGS = 8
"""Roundings to the number format that may lie between a declared scale and what a chain of operations made of it."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Of a tensor x. The first three have x's shape without the axis, float64, whole numbers exact: tensors on x's device, on the
    CPU numpy's arrays, where an operation on a few numbers costs a third.

    ``nonzero``: how many elements are not 0. ``total``: sum of x. ``magnitude``: sum of |x| in units of the declared scale,
    rounded to whole numbers (``nonzero`` itself for spikes); None for declared real values. ``low``, ``high``: one number or 0-d,
    extremes of x (``low`` only if x was not declared). ``wrong``: likewise, how many elements are not what was declared: for
    spikes neither 0 nor the scale, else no whole number in its units; None where that was not asked (declared real).
    ``elements``: of x. ``in_all``: the sum of ``nonzero``, where it is known.
    """

    nonzero: Any
    total: Any
    magnitude: Any
    low: Any
    high: Any
    wrong: Any
    elements: int
    in_all: Any = None

    def measure(self) -> Measure:
        """Itself: see ``Sums``."""
        return self


@dataclass(frozen=True, slots=True)
class Sums:
    """What the CPU's loops have found (``loops``): of which ``measure`` makes what others ask for. ``scale``: of spikes."""

    nonzero: Tensor
    total: Tensor
    magnitude: Tensor
    high: float
    wrong: float
    elements: int
    scale: float | None = None

    def measure(self) -> Measure:
        """The same."""
        if self.scale is not None:
            return of_counts(self.nonzero, self.scale, self.wrong, self.elements)
        return _found(self.nonzero, self.total, self.magnitude, self.high, self.high, self.wrong, self.elements)


def on_device(values: Tensor) -> Any:
    """In float64: see ``Measure``."""
    values = values.double()
    return values.numpy() if values.is_cpu else values


def _found(nonzero: Tensor, total: Tensor, magnitude: Tensor | None, low: Any, high: Any, wrong: Any, elements: int) -> Measure:
    magnitudes = None if magnitude is None else on_device(magnitude)
    return Measure(on_device(nonzero), on_device(total), magnitudes, low, high, wrong, elements)


def measure(x: Tensor, dim: int, values: Values | None) -> Measure:
    """``values``: what x was declared to hold, None if that is to be seen from x. Nothing waits for a GPU."""
    return read(x, dim, values).measure()


def read(x: Tensor, dim: int, values: Values | None) -> Sums | Measure:
    """The part of ``measure`` that needs ``x``."""
    slack = 0.0 if values is None or exact(values.scale) or not x.is_floating_point() else _ROUNDINGS * torch.finfo(x.dtype).eps
    if x.dtype == torch.bool:
        x = x.to(torch.float32)
    elif not x.is_floating_point():
        x = x.to(torch.float64)
    elif x.dtype in (torch.float16, torch.bfloat16):
        x = x.to(torch.float32)
    if not x.numel():
        nothing = on_device(x.sum(dim, dtype=torch.float64))
        return Measure(nothing, nothing, nothing, 0.0, 0.0, 0.0, 0)
    if values is not None and values.kind == "binary":
        return _spikes(x, dim, values.scale, slack)
    if values is not None and values.kind == "real":
        return _real(x, dim)
    tolerance = 0.0 if values is None or values.scale == 1.0 else _TOLERANCE
    return _values(x, dim, 1.0 if values is None else values.scale, tolerance, slack, declared=values is not None)


def _spikes(x: Tensor, dim: int, scale: float, slack: float) -> Sums | Measure:
    if not loops.fits(x):
        return of_counts(x.ne(0).sum(dim), scale, _off(x, scale, slack), x.numel())
    nonzero, wrong = loops.spikes(x, dim, scale)
    if slack and wrong:
        wrong = float(_off(x, scale, slack))
    return Sums(nonzero, nonzero, nonzero, 0.0, wrong, x.numel(), scale)


def _off(x: Tensor, scale: float, slack: float) -> Tensor:
    other = x.sub(scale).abs_() > slack * abs(scale) if slack else x.ne(scale)
    return (x.ne(0) & (other | x.isnan() if slack else other)).sum()


def of_counts(nonzero: Any, scale: float, wrong: Any, elements: int) -> Measure:
    """The measure of ``elements`` spikes of height ``scale`` from how many there are; their extremes follow, if nothing is
    wrong.
    """
    if isinstance(nonzero, Tensor):
        nonzero = on_device(nonzero)
    total = nonzero.sum()
    low, high = (total == elements) * scale, (total > 0) * scale
    if scale < 0:
        low, high = high, low
    return Measure(nonzero, nonzero if scale == 1 else nonzero * scale, nonzero, low, high, wrong, elements, total)


def _real(x: Tensor, dim: int) -> Measure:
    low, high = torch.aminmax(x)
    return _found(x.ne(0).sum(dim), x.sum(dim, dtype=torch.float64), None, low, high, None, x.numel())


def _values(x: Tensor, dim: int, scale: float, tolerance: float, slack: float, declared: bool) -> Sums | Measure:
    if declared and loops.fits(x):
        nonzero, total, magnitude, off, top = loops.values(x, dim, scale, tolerance, torch.float32)
        # Magnitudes of counts only grow: below 2**24 at the end, every float32 sum on the way was exact.
        if magnitude.numpy().max() < 1 << 24 and not (slack and off):
            return Sums(nonzero, total, magnitude, top, off, x.numel())
    low, high = torch.aminmax(x)
    if loops.fits(x) and not slack:
        nonzero, total, magnitude, off, _ = loops.values(x, dim, scale, tolerance, torch.float64)
        wrong: Any = off
    else:
        units = x / scale
        whole = (units + 0.5).floor_()
        # Comparing so that NaN is no whole number. Of large counts the last digits are rounded, as of any number.
        wrong = x.numel() - (units - whole).abs_().le(whole.abs().mul_(slack).add_(tolerance)).sum()
        nonzero, total, magnitude = x.ne(0).sum(dim), x.sum(dim, dtype=torch.float64), whole.abs_().sum(dim, dtype=torch.float64)
    return _found(nonzero, total, magnitude, low, high, wrong, x.numel())
