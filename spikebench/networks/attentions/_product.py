"""The product Q K^T V in either order: equal numbers, unequal cost."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from spikebench.core.values import REAL, Values, declare
from spikebench.networks import shortcuts

PublishedOrder = Literal["qk_first", "kv_first"]
Order = Literal["auto", "qk_first", "kv_first"]


def attend(q: Tensor, k: Tensor, v: Tensor, order: PublishedOrder, emits: Values) -> Tensor:
    """Q K^T V, (..., N, d) from three of that shape: (Q K^T) V costs 2 N^2 d operations a head, Q (K^T V) 2 N d^2.

    The two are equal to the bit for spikes (or integers) whose sums stay below 2^24 in float32, 2^8 in bfloat16. ``emits``: what
    q, k and v hold; the product in between is declared from it.
    """
    if order == "kv_first":
        return q @ declare(k.transpose(-2, -1) @ v, counts_of(emits, 2))
    return declare(q @ k.transpose(-2, -1), counts_of(emits, 2)) @ v


def order_to_run(order: Order, published: PublishedOrder, N: int, d: int) -> PublishedOrder:
    """``auto`` is the cheaper order; the published one where shortcuts are off."""
    if order != "auto":
        return order
    if not shortcuts.enabled():
        return published
    return "kv_first" if d < N else "qk_first"


def counts_of(emits: Values, factors: int, scale: float = 1.0) -> Values:
    """What a sum of products of ``factors`` such numbers holds, times ``scale``."""
    return REAL if emits.kind == "real" else Values("integer", emits.scale**factors * scale)


def masked(x: Tensor, mask: Tensor, emits: Values) -> Tensor:
    """x * mask, elementwise, both emitted by neurons: binary again if they are, else products of counts."""
    product = x * mask
    return declare(product, emits if emits.kind == "binary" else counts_of(emits, 2))
