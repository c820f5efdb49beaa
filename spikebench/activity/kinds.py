"""What is known of values after an operation on values that were declared: the arithmetic of ``Values``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from math import frexp, isfinite

import torch

from spikebench.core.values import BINARY, INTEGER, Values


def join(kinds: Iterable[Values | None]) -> Values | None:
    """What a tensor made of parts of these holds; None (unknown) if any is unknown or the scales differ."""
    found: Values | None = None
    for values in kinds:
        if values is None:
            return None
        if found is None or found == values:
            found = values
        elif found.scale != values.scale:
            return None
        else:
            found = widest(found, values)
    return found


def widest(a: Values, b: Values) -> Values:
    order = ("binary", "integer", "real")
    return max(a, b, key=lambda values: order.index(values.kind))


def added(a: Values | None, b: Values | None) -> Values | None:
    """Sum or difference: counts of spikes, if both count in the same unit."""
    if a is None or b is None or a.scale != b.scale or "real" in (a.kind, b.kind):
        return None
    return replace(INTEGER, scale=a.scale)


def multiplied(a: Values | None, b: Values | None) -> Values | None:
    """Elementwise product: binary only if both are."""
    if a is None or b is None or "real" in (a.kind, b.kind):
        return None
    return Values("binary" if a.kind == b.kind == "binary" else "integer", a.scale * b.scale)


def summed(values: Values | None) -> Values | None:
    return None if values is None or values.kind == "real" else replace(values, kind="integer")


def scaled(values: Values | None, factor: float) -> Values | None:
    return None if values is None or factor == 0 or not isfinite(factor) else replace(values, scale=values.scale * factor)


def signs(values: Values | None) -> Values | None:
    if values is None or values.kind == "real":
        return None
    return replace(values, scale=1.0 if values.scale > 0 or values.kind == "integer" else -1.0)


def held(values: Values | None, dtype: torch.dtype) -> Values | None:
    """What ``values`` are once a tensor of ``dtype`` holds them: scales are rounded, fractions and what is too large are lost."""
    if values is None or (values.scale == 1.0 and dtype.is_floating_point):
        return values
    if dtype == torch.bool:
        return BINARY
    if not dtype.is_floating_point:
        limits = torch.iinfo(dtype)
        fits = values.scale == round(values.scale) and limits.min <= values.scale <= limits.max
        # Large counts wrap around, and what is left is a multiple of powers of two alone.
        return values if fits and (values.kind == "binary" or exact(values.scale) or limits.bits >= 32) else None
    scale = rounded(values.scale, dtype)
    if scale == 0 or not isfinite(scale):
        return None
    if values.kind != "binary" and torch.finfo(dtype).bits < 32 and not exact(scale):
        return None  # multiples of a rounded scale are rounded too: which one it was cannot be told
    return replace(values, scale=scale)


def rounded(scale: float, dtype: torch.dtype) -> float:
    """``scale`` as a tensor of ``dtype`` holds it."""
    return torch.tensor(scale, dtype=torch.float64).to(dtype).item() if dtype.is_floating_point else scale


def exact(scale: float) -> bool:
    """A power of two: multiplying by it rounds nothing."""
    return abs(frexp(scale)[0]) == 0.5
