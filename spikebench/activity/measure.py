"""What a tensor holds, reduced along one axis: how many elements are nonzero, what they add up to, what they are."""

from __future__ import annotations

from dataclasses import dataclass

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
    """Of a tensor x, kept on its device. The first three have x's shape without the axis, float64, whole numbers exact.

    ``nonzero``: how many elements are not 0. ``total``: sum of x. ``magnitude``: sum of |x| in units of the declared scale,
    rounded to whole numbers (``nonzero`` itself for spikes); None for declared real values. ``low``, ``high``: 0-d, extremes of
    x (``low`` only if x was not declared). ``wrong``: 0-d, how many elements are not what was declared: for spikes neither 0
    nor the scale, else no whole number in its units; None where that was not asked (declared real). ``elements``: of x.
    """

    nonzero: Tensor
    total: Tensor
    magnitude: Tensor | None
    low: Tensor
    high: Tensor
    wrong: Tensor | None
    elements: int

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
        wrong = torch.tensor(self.wrong, dtype=torch.float64)
        if self.scale is not None:
            return of_counts(self.nonzero, self.scale, wrong, self.elements)
        high = torch.tensor(self.high)
        return Measure(self.nonzero.double(), self.total.double(), self.magnitude.double(), high, high, wrong, self.elements)


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
        nothing, zero = x.sum(dim, dtype=torch.float64), x.new_zeros(())
        return Measure(nothing, nothing, nothing, zero, zero, zero, 0)
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


def of_counts(nonzero: Tensor, scale: float, wrong: Tensor, elements: int) -> Measure:
    """The measure of ``elements`` spikes of height ``scale`` from how many there are; their extremes follow, if nothing is
    wrong.
    """
    nonzero = nonzero.double()
    if nonzero.is_cpu:
        found = float(nonzero.sum())  # the same in fewer operators: they cost more than the numbers
        low, high = nonzero.new_tensor(((found == elements) * scale, (found > 0) * scale)).unbind()
    else:
        total = nonzero.sum()
        low, high = (total == elements) * scale, (total > 0) * scale
    if scale < 0:
        low, high = high, low
    return Measure(nonzero, nonzero if scale == 1 else nonzero * scale, nonzero, low, high, wrong, elements)


def _real(x: Tensor, dim: int) -> Measure:
    low, high = torch.aminmax(x)
    return Measure(x.ne(0).sum(dim).double(), x.sum(dim, dtype=torch.float64), None, low, high, None, x.numel())


def _values(x: Tensor, dim: int, scale: float, tolerance: float, slack: float, declared: bool) -> Sums | Measure:
    if declared and loops.fits(x):
        nonzero, total, magnitude, off, top = loops.values(x, dim, scale, tolerance, torch.float32)
        # Magnitudes of counts only grow: below 2**24 at the end, every float32 sum on the way was exact.
        if magnitude.numpy().max() < 1 << 24 and not (slack and off):
            return Sums(nonzero, total, magnitude, top, off, x.numel())
    low, high = torch.aminmax(x)
    if loops.fits(x) and not slack:
        nonzero, total, magnitude, off, _ = loops.values(x, dim, scale, tolerance, torch.float64)
        wrong = torch.tensor(off, dtype=torch.float64)
    else:
        units = x / scale
        whole = (units + 0.5).floor_()
        # Comparing so that NaN is no whole number. Of large counts the last digits are rounded, as of any number.
        wrong = x.numel() - (units - whole).abs_().le(whole.abs().mul_(slack).add_(tolerance)).sum()
        nonzero, total, magnitude = x.ne(0).sum(dim), x.sum(dim, dtype=torch.float64), whole.abs_().sum(dim, dtype=torch.float64)
    return Measure(nonzero.double(), total, magnitude, low, high, wrong, x.numel())
