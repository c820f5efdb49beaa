"""What is left to add up on the CPU when a pass is over: a few thousand sums, in one walk where numpy takes several."""

from __future__ import annotations

from typing import Any

import numpy as np

from spikebench.activity.loops import compiled


@compiled
def _fold(sums, inner, by_outer, by_index):  # type: ignore[no-untyped-def]
    at = 0
    for o in range(len(by_outer)):
        all_of_it = 0.0
        for i in range(len(by_index)):
            total = 0.0
            for k in range(inner):
                total += sums[at + k]
            by_index[i] += total
            all_of_it += total
            at += inner
        by_outer[o] = all_of_it


def fold(sums: Any, size: int, inner: int) -> tuple[Any, Any]:
    """Of sums (outer, ``size``, ``inner``), float32 or float64: by the first axis, and by the second, float64."""
    flat = sums.reshape(-1)
    by_outer, by_index = np.empty(flat.size // (size * inner)), np.zeros(size)
    _fold(flat, inner, by_outer, by_index)
    return by_outer, by_index
