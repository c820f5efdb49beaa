"""How many elements of a tensor are nonzero, what they add up to, and what they are: reduced along one axis, kept on the
device.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from spikebench.core.values import Values

_TOLERANCE = 1e-3
"""Distance from a whole number that division by a declared scale such as 1/sqrt(d) may leave in fp32."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Sums along one axis of a tensor x, whose shape without that axis the first three have (float32 or float64, whole numbers
    exact).

    ``nonzero``: how many elements are not 0. ``total``: sum of x. ``magnitude``: sum of |x| in units of the declared scale;
    None for declared real values. ``low``, ``high``: 0-d, extremes of x. ``misfit``: 0-d, largest distance from the nearest
    whole number in those units, beyond rounding; None where it was not asked (declared real). ``elements``: of x.
    """

    nonzero: Tensor
    total: Tensor
    magnitude: Tensor | None
    low: Tensor
    high: Tensor
    misfit: Tensor | None
    elements: int


def measure(x: Tensor, dim: int, values: Values | None) -> Measure:
    """``values``: what x was declared to hold, None if that is to be seen from x. Reads x four to six times and syncs with
    nothing.
    """
    if x.dtype == torch.bool:
        x = x.to(torch.float32)
    elif not x.is_floating_point():
        x = x.to(torch.float64)
    elif x.dtype in (torch.float16, torch.bfloat16):
        x = x.to(torch.float32)
    if not x.numel():
        nothing, zero = x.sum(dim), x.new_zeros(())
        return Measure(nothing, nothing, nothing, zero, zero, zero, 0)
    # Comparing into a float buffer: summing it is several times faster than summing booleans (Tensor.count_nonzero by axis does).
    nonzero = torch.ne(x, 0, out=torch.empty_like(x)).sum(dim)
    low, high = torch.aminmax(x)
    if values is not None and values.kind == "binary":
        # Between 0 and the scale, a sum equals the number of nonzero elements only if each of them is the scale itself.
        total = x.sum(dim)
        misfit = (total / values.scale - nonzero).abs_().sub_(_TOLERANCE + 1e-6 * x.shape[dim]).clamp_(min=0).amax()
        return Measure(nonzero, total, nonzero, low, high, misfit, x.numel())
    # A float32 sum of spike counts is exact below 2**24 only, and how large they are is not known here.
    total = x.sum(dim, dtype=torch.float64)
    if values is not None and values.kind == "real":
        return Measure(nonzero, total, None, low, high, None, x.numel())
    units = x if values is None or values.scale == 1.0 else x / values.scale
    whole = units.round()
    tolerance = 0.0 if values is None or values.scale == 1.0 else _TOLERANCE
    misfit = (units - whole).abs_().amax().sub(tolerance).clamp(min=0)
    return Measure(nonzero, total, whole.abs_().sum(dim, dtype=torch.float64), low, high, misfit, x.numel())
