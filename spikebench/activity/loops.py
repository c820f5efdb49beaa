"""The CPU's way to measure: one read of the tensor instead of five, compiled by numba and kept in its cache on disk.

A tensor is three axes: ``outer`` and ``inner`` are kept, ``reduce`` is summed over. Of the last two one must be contiguous in
memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from math import ceil
from typing import Any

import numpy as np
import torch
from numba import njit
from torch import Tensor

_GRAIN = 1 << 17
"""Elements below which a second thread costs more than it saves."""
_BLOCK = 2048
"""Columns whose sums stay in the first cache level."""
_EXACT = 1 << 22
"""Rows whose elements may be counted in float32, which holds whole numbers below 2**24."""
_WIDE_BLOCK = 1 << 15
"""In the second: long runs of memory are read faster."""


# Counts are held as float32 while they are small: numba adds int32 as int64, half as many at a time. Whole numbers add up to the
# same in any order, so the compiler may choose one that fills its vector registers.
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "nsz"}}


def compiled(function: Any) -> Callable[..., None]:
    try:
        kernel: Callable[..., None] = njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # numba's word for "no folder to keep it in": then it is compiled once per process
        kernel = njit(**_OPTIONS)(function)
    return kernel


@compiled
def _spikes_by_column(x, outer, reduce, R, inners, start, stop, scale, nonzero, wrong):  # type: ignore[no-untyped-def]
    """``nonzero[o * inners + i]`` for start <= o * inners + i < stop; ``wrong``: elements that are neither 0 nor ``scale``."""
    zero, one, bad, first = np.float32(0), np.float32(1), np.float64(0), start
    while first < stop:
        o, i = first // inners, first % inners
        n = min(min(inners - i, stop - first), _BLOCK)
        sums = nonzero[first : first + n]
        for r in range(R):
            row = x[o * outer + r * reduce + i : o * outer + r * reduce + i + n]
            off = zero
            for j in range(n):
                fired = one if row[j] != zero else zero
                sums[j] += fired
                off += fired if row[j] != scale else zero
            bad += off
        first += n
    wrong[0] = bad


@compiled
def _spikes_by_row(x, outer, inner, R, inners, start, stop, scale, nonzero, wrong):  # type: ignore[no-untyped-def]
    zero, one, bad = np.float32(0), np.float32(1), np.float64(0)
    o, i = start // inners, start % inners  # counted on: to divide for each place takes longer than a short row
    for place in range(start, stop):
        base = o * outer + i * inner
        row = x[base : base + R]
        total, off = zero, zero
        for r in range(R):
            fired = one if row[r] != zero else zero
            total += fired
            off += fired if row[r] != scale else zero
        nonzero[place] = total
        bad += off
        i += 1
        if i == inners:
            o, i = o + 1, 0
    wrong[0] = bad


@compiled
def _values_by_column(x, outer, reduce, R, inners, start, stop, inverse, tolerance, nonzero, total, magnitude, high, wrong):  # type: ignore[no-untyped-def]
    zero, one, half, bad, first, rows = np.float32(0), np.float32(1), np.float32(0.5), np.float64(0), start, 0
    # By place in the row: sums and maxima of neighbours would take a row as long as all else that is done with it.
    tops, offs = np.full(_BLOCK, -np.inf, np.float32), np.zeros(_BLOCK, np.float32)
    while first < stop:
        o, i = first // inners, first % inners
        n = min(min(inners - i, stop - first), _BLOCK)
        counts, sums, sizes = nonzero[first : first + n], total[first : first + n], magnitude[first : first + n]
        for r in range(0, R - 3, 4):  # four rows at once: the sums are read and written a quarter as often
            at = o * outer + r * reduce + i
            r_0, r_1 = x[at : at + n], x[at + reduce : at + reduce + n]
            r_2, r_3 = x[at + 2 * reduce : at + 2 * reduce + n], x[at + 3 * reduce : at + 3 * reduce + n]
            for j in range(n):
                a, b, c, d = r_0[j], r_1[j], r_2[j], r_3[j]
                u_a, u_b, u_c, u_d = a * inverse, b * inverse, c * inverse, d * inverse
                w_a, w_b, w_c, w_d = np.floor(u_a + half), np.floor(u_b + half), np.floor(u_c + half), np.floor(u_d + half)
                early, late = one if a != zero else zero, one if c != zero else zero
                counts[j] += (early + (one if b != zero else zero)) + (late + (one if d != zero else zero))
                sums[j] += (a + b) + (c + d)
                sizes[j] += (abs(w_a) + abs(w_b)) + (abs(w_c) + abs(w_d))
                early = (zero if abs(u_a - w_a) <= tolerance else one) + (zero if abs(u_b - w_b) <= tolerance else one)
                late = (zero if abs(u_c - w_c) <= tolerance else one) + (zero if abs(u_d - w_d) <= tolerance else one)
                offs[j] += early + late
                early, late = a if a > b else b, c if c > d else d
                top = early if early > late else late
                tops[j] = top if top > tops[j] else tops[j]
        for r in range(R // 4 * 4, R):
            row = x[o * outer + r * reduce + i : o * outer + r * reduce + i + n]
            for j in range(n):
                value = row[j]
                units = value * inverse
                whole = np.floor(units + half)
                counts[j] += one if value != zero else zero
                sums[j] += value
                sizes[j] += abs(whole)
                offs[j] += zero if abs(units - whole) <= tolerance else one
                tops[j] = value if value > tops[j] else tops[j]
        first += n
        rows += R
        if rows >= _EXACT or first >= stop:
            bad += offs.sum()
            offs[:] = zero
            rows = 0
    high[0] = tops.max()
    wrong[0] = bad


@compiled
def _values_by_row(x, outer, inner, R, inners, start, stop, inverse, tolerance, nonzero, total, magnitude, high, wrong):  # type: ignore[no-untyped-def]
    zero, one, half, bad = np.float32(0), np.float32(1), np.float32(0.5), np.float64(0)
    tops, offs = np.full(R, -np.inf, np.float32), np.zeros(R, np.float32)
    o, i = start // inners, start % inners
    for place in range(start, stop):
        base = o * outer + i * inner
        row = x[base : base + R]
        count, sums, sizes = zero, total[place], magnitude[place]
        for r in range(R):
            value = row[r]
            units = value * inverse
            whole = np.floor(units + half)
            count += one if value != zero else zero
            sums += value
            sizes += abs(whole)
            offs[r] += zero if abs(units - whole) <= tolerance else one
            tops[r] = value if value > tops[r] else tops[r]
        nonzero[place], total[place], magnitude[place] = count, sums, sizes
        i += 1
        if i == inners:
            o, i = o + 1, 0
        if (place + 1) % _EXACT == 0 or place + 1 == stop:
            bad += offs.sum()
            offs[:] = zero
    high[0] = tops.max()
    wrong[0] = bad


@compiled
def _firing(x, rows, F, start, stop, scale, by_row, by_neuron, wrong):  # type: ignore[no-untyped-def]
    """Of x (rows, F): nonzero elements of each row, between the columns ``start`` and ``stop``, and of each column."""
    zero, one, bad = np.float32(0), np.float32(1), np.float64(0)
    for first in range(start, stop, _WIDE_BLOCK):
        n = min(_WIDE_BLOCK, stop - first)
        columns = by_neuron[first : first + n]
        for o in range(rows):
            row = x[o * F + first : o * F + first + n]
            total, off = zero, zero
            for j in range(n):
                fired = one if row[j] != zero else zero
                columns[j] += fired
                total += fired
                off += fired if row[j] != scale else zero
            by_row[o] += total
            bad += off
    wrong[0] = bad


def fits(x: Tensor) -> bool:
    """Whether these loops can read ``x``: float32 on the CPU, with memory of its own."""
    return (
        x.dtype == torch.float32
        and x.device.type == "cpu"
        and x.layout == torch.strided
        and type(x) in (Tensor, torch.nn.Parameter)
    )


def axes(x: Tensor, dim: int) -> Tensor:
    """``x`` as (outer, reduce, inner), ``reduce`` being ``dim`` and one of the last two contiguous: a view, else a copy."""
    dim %= x.dim()
    three = x.detach().reshape(x.shape[:dim].numel(), x.shape[dim], x.shape[dim + 1 :].numel())
    if three.shape[2] == 1:  # rows to walk along, or columns that lie side by side
        three = three.permute(2, 1, 0)
    return three if three.stride(2) == 1 or three.stride(1) == 1 else three.contiguous()


def spikes(x: Tensor, dim: int, scale: float) -> tuple[Tensor, float]:
    """(nonzero elements along ``dim``, shape of x without it; number of elements that are neither 0 nor ``scale``)."""
    nonzero = np.zeros(_without(x, dim), np.float32)
    wrong = _run(axes(x, dim), _spikes_by_column, _spikes_by_row, (np.float32(scale), nonzero.reshape(-1)))
    return torch.from_numpy(nonzero), wrong


def values(
    x: Tensor, dim: int, scale: float, tolerance: float, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, float, float]:
    """(nonzero, sum, sum of |whole numbers| in units of ``scale``, number of elements that are none, the largest).

    ``dtype`` of the two sums: float32 is twice as fast, where it holds them exactly. The largest: if all of them are numbers.
    """
    each = np.float32 if dtype == torch.float32 else np.float64
    nonzero, total, magnitude = (np.zeros(_without(x, dim), kind) for kind in (np.float32, each, each))
    tops: list[Any] = []  # list.append is atomic
    parts = (np.float32(1 / scale), np.float32(tolerance), *(sums.reshape(-1) for sums in (nonzero, total, magnitude)))
    wrong = _run(axes(x, dim), _values_by_column, _values_by_row, parts, tops)
    return *map(torch.from_numpy, (nonzero, total, magnitude)), wrong, max(tops)


def firing(x: Tensor, scale: float, by_neuron: Tensor) -> tuple[Tensor, Tensor]:
    """Of x (rows, neurons), contiguous: nonzero elements of each row, float64, and how many of them are not ``scale``, 0-d.

    Those of each neuron are added to ``by_neuron`` (float32), which outlives the pass: memory that large between what a network
    allocates and frees would break up the heap.
    """
    rows, neurons = x.shape
    flat, columns = _flat(x.detach()), by_neuron.numpy()

    def work(start: int, stop: int) -> Any:
        found = np.zeros(rows + 1)
        _firing(flat, rows, neurons, start, stop, np.float32(scale), found, columns, found[rows:])
        return found

    found = torch.from_numpy(sum(_on_threads(work, neurons, x.numel())))
    return found[:rows], found[rows]


def _run(
    x: Tensor, by_column: Callable[..., None], by_row: Callable[..., None], parts: tuple[Any, ...], tops: list[Any] | None = None
) -> float:
    """Whichever kernel walks along memory, over all (outer, inner) places; each thread's largest number goes to ``tops``."""
    (outers, R, inners), (outer, reduce, inner) = x.shape, x.stride()
    flat = _flat(x)
    columns = inner == 1 and inners > 1
    kernel, stride = (by_column, reduce) if columns else (by_row, inner)

    def work(start: int, stop: int) -> float:
        wrong = np.zeros(1)
        if tops is None:
            kernel(flat, outer, stride, R, inners, start, stop, *parts, wrong)
        else:
            high = np.full(1, -np.inf, np.float32)
            kernel(flat, outer, stride, R, inners, start, stop, *parts, high, wrong)
            tops.append(float(high[0]))
        return float(wrong[0])

    return float(sum(_on_threads(work, outers * inners, x.numel())))


def _flat(x: Tensor) -> Any:
    """The memory that ``x`` spans, as a flat array."""
    span = 1 + sum((size - 1) * stride for size, stride in zip(x.shape, x.stride(), strict=True))
    return x.as_strided((span,), (1,)).numpy()


def _without(x: Tensor, dim: int) -> tuple[int, ...]:
    dim %= x.dim()
    return (*x.shape[:dim], *x.shape[dim + 1 :])


def _on_threads(work: Callable[[int, int], Any], places: int, elements: int) -> list[Any]:
    """``work(start, stop)`` over all places in equal parts, on torch's number of threads; the calling thread does the first."""
    count = max(1, min(torch.get_num_threads(), elements // _GRAIN))
    share = 16 * ceil(places / count / 16)  # whole cache lines, so that no two threads write one
    starts = range(0, places, share)
    others = [_pool(os.getpid()).submit(work, start, min(start + share, places)) for start in starts[1:]]
    return [work(0, min(share, places)), *(other.result() for other in others)]


@cache
def _pool(pid: int) -> ThreadPoolExecutor:
    """One pool a process: threads do not survive a fork."""
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1), thread_name_prefix="spikebench-count")
