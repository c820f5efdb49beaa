"""Synaptic operations: convolutions, linear layers, products of two activations. Their MACs follow from shapes, events from
values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from spikebench.activity.coverage import axes_of, coverage
from spikebench.activity.kinds import multiplied, summed
from spikebench.activity.measure import Measure, measure
from spikebench.activity.moves import Rule
from spikebench.activity.provenance import Grid, Rows, combine
from spikebench.activity.sums import Call, Seen
from spikebench.core.values import Values

if TYPE_CHECKING:
    from spikebench.activity.recorder import Recorder

aten = torch.ops.aten


def convolution(recorder: Recorder, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> None:
    """input (L, C, *size) or unbatched (C, *size); weight (C_out, C / groups, *kernel), transposed (C, C_out / groups,
    *kernel).
    """
    x, weight, bias, stride, padding, dilation, transposed, _, groups = args
    kernel = weight.shape[2:]
    if not recorder.tracker.is_activation(x) and not recorder.tracker.is_activation(weight):
        recorder.made(out, (x, weight), None, layer=True)
        return
    if not recorder.tracker.is_activation(x) or recorder.tracker.is_activation(weight):
        recorder.no_rule(
            "convolution", out, "of a constant" if not recorder.tracker.is_activation(x) else "with activations as weights"
        )
        return
    batched = x.dim() == weight.dim()
    x_, out_ = (x, out) if batched else (x.unsqueeze(0), out.unsqueeze(0))
    fan_out = (weight.shape[1] * groups if transposed else weight.shape[0]) // groups
    axes = axes_of(x_.shape[2:], out_.shape[2:], kernel, stride, padding, dilation, transposed)
    inside = x_.shape[0] * x_.shape[1] * fan_out * prod(sum(axis) for axis in axes)
    dense = (x_ if transposed else out_).numel() * prod(kernel) * (fan_out if transposed else x_.shape[1] // groups)
    values = recorder.tracker.values(x)
    taps = coverage(axes, x.device)
    if batched:
        recorder.layout.reads(x, recorder.tracker.places(x), 0, windows=len(kernel))
    if taps is None:
        found, grid = recorder.measure_rows(x_, 1, values)
    else:
        found, grid = recorder.measure(x_, 1, values), recorder.grid(x_).without(1)

    recorder.site(
        f"conv{'_transpose' if transposed else ''}{len(kernel)}d",
        partial(_of_one, values, grid, taps, fan_out),
        [found],
        reads=(x, weight, bias),
        writes=out,
        dense_macs=dense,
        dense_macs_inside=inside,
        events_right=inside,
        other_ops=0 if bias is None else out.numel(),
    )
    recorder.made(out, (x,), None, layer=True)


def _of_one(values: Values | None, grid: Grid, taps: Tensor | None, fan_out: int, found: Measure) -> Call:
    """Of a layer that sums over the axes that ``grid`` lacks: each element meets ``fan_out`` weights, times ``taps``."""

    def fanned(sums: Any) -> Rows:
        if taps is not None:
            sums = sums * (taps if isinstance(sums, Tensor) else taps.numpy())
        return Rows.of(sums, grid).times(fan_out)

    events = fanned(found.nonzero)
    counts = {"events": events, "events_left": events}
    if found.magnitude is not None:
        counts["unit_acs"] = events if found.magnitude is found.nonzero else fanned(found.magnitude)
    return Call(counts, [Seen.of(found, values)])


def matrix_product(recorder: Recorder, a: Tensor, b: Tensor, bias: Tensor | None, out: Tensor) -> None:
    """a (..., n, k) times b (..., k, m), both 2-d or both with one leading axis."""
    left, right = (recorder.tracker.is_activation(operand) for operand in (a, b))
    n, k, m = a.shape[-2], a.shape[-1], b.shape[-1]
    macs = out.numel() * k
    bias_ops = 0 if bias is None else out.numel()
    shapes = {"dense_macs": macs, "dense_macs_inside": macs, "other_ops": bias_ops}
    if not left and not right:
        recorder.made(out, (a, b), None, layer=True)
        return
    if left and right:
        _product(recorder, a, b, out, shapes)
        return
    x, fan_out = (a, m) if left else (b, n)
    values = recorder.tracker.values(x)
    if left:
        found, grid = recorder.measure_rows(x, -1, values)
    else:
        found, grid = recorder.measure(x, -2, values), recorder.grid(x).without(-2)

    recorder.site(
        "linear",
        partial(_of_one, values, grid, None, fan_out),
        [found],
        reads=(a, b, bias),
        writes=out,
        events_right=macs,
        **shapes,
    )
    recorder.made(out, (a, b), None, layer=True)


def _product(recorder: Recorder, a: Tensor, b: Tensor, out: Tensor, shapes: Mapping[str, int]) -> None:
    """Both operands are activations: an event needs both nonzero. For each k, (nonzero in a's column) x (nonzero in b's row)."""
    kinds = [recorder.tracker.values(operand) for operand in (a, b)]
    made = summed(multiplied(*kinds))
    left, right = recorder.fired(a, kinds[0]), recorder.fired(b, kinds[1])
    grid = _of_both(recorder.grid(a).without(-1).without(-1), recorder.grid(b).without(-1).without(-1))
    if left is not None and right is not None and made is not None and out.dtype == torch.float32:
        # The product of spikes counts what fired together, exactly; who reads it (the next product) needs its sums anyway.
        measures = [left[0], right[0], recorder.measure(out, -2, made)]
        build = partial(_of_spikes, kinds, (left[1], right[1], grid), a.shape[-2], b.shape[-1])
    else:
        measures = [recorder.measure(a, -2, kinds[0]), recorder.measure(b, -1, kinds[1])]
        build = partial(_of_pairs, kinds, grid, a.shape[-2], b.shape[-1])
    recorder.site("matmul", build, measures, reads=(a, b), writes=out, **shapes)
    recorder.made(out, (a, b), made, layer=True)


def _of_both(a: Grid, b: Grid) -> Grid:
    """The leading axes of a product."""
    return Grid(a.shape, tuple(combine(places) for places in zip(a.places, b.places, strict=True)))


def _of_spikes(
    kinds: Sequence[Values | None], grids: Sequence[Grid], rows: int, columns: int, left: Measure, right: Measure, out: Measure
) -> Call:
    """Of a product of spikes, from all of ``left`` and ``right``, and from ``out``, which holds what fired together."""
    assert out.magnitude is not None
    events = Rows.of(out.magnitude.sum(-1), grids[2])
    counts = {
        "events": events,
        "events_left": Rows.of(left.nonzero, grids[0]).times(columns),
        "events_right": Rows.of(right.nonzero, grids[1]).times(rows),
        "unit_acs": events,
    }
    return Call(counts, [Seen.of(found, values) for found, values in zip((left, right), kinds, strict=True)])


def _of_pairs(kinds: Sequence[Values | None], grid: Grid, rows: int, columns: int, left: Measure, right: Measure) -> Call:
    """Of a product, from the sums of a (..., k) over its rows and of b (..., k) over its columns."""

    def by_batch(product: Any) -> Rows:
        return Rows.of(product.sum(-1), grid)

    counts = {
        "events": by_batch(left.nonzero * right.nonzero),
        "events_left": by_batch(left.nonzero).times(columns),
        "events_right": by_batch(right.nonzero).times(rows),
    }
    if left.magnitude is not None and right.magnitude is not None:
        binary = left.magnitude is left.nonzero and right.magnitude is right.nonzero
        counts["unit_acs"] = counts["events"] if binary else by_batch(left.magnitude * right.magnitude)
    return Call(counts, [Seen.of(found, values) for found, values in zip((left, right), kinds, strict=True)])


def hadamard(recorder: Recorder, a: Tensor, b: Tensor, out: Tensor) -> None:
    """Elementwise product of two activations with broadcasting: spike-driven attention (arXiv 2307.01694), masks, gates."""
    kinds = [recorder.tracker.values(operand) for operand in (a, b)]
    shape, size = tuple(out.shape) or (1,), out.numel()
    measures = [recorder.made_of(partial(_each, shape, values), operand) for operand, values in zip((a, b), kinds, strict=True)]
    key = recorder.site(
        "hadamard",
        partial(_of_elements, kinds, Grid(shape, recorder.places)),
        measures,
        reads=(a, b),
        writes=out,
        dense_macs=size,
        dense_macs_inside=size,
        other_ops=0,
    )
    recorder.made(out, (a, b), multiplied(*kinds))
    recorder.membranes.product(key, type(recorder.frames[-1].module).__name__, out)


def _each(shape: tuple[int, ...], values: Values | None, operand: Tensor) -> Measure:
    """Of each element by itself, of ``operand`` broadcast to ``shape``."""
    return measure((operand if operand.dim() else operand.unsqueeze(-1)).expand(shape).unsqueeze(-1), -1, values)


def _of_elements(kinds: Sequence[Values | None], grid: Grid, left: Measure, right: Measure) -> Call:
    """Of an elementwise product."""
    counts = {
        "events": Rows.of(left.nonzero * right.nonzero, grid),
        "events_left": Rows.of(left.nonzero, grid),
        "events_right": Rows.of(right.nonzero, grid),
    }
    if left.magnitude is not None and right.magnitude is not None:
        counts["unit_acs"] = Rows.of(left.magnitude * right.magnitude, grid)
    return Call(counts, [Seen.of(found, values) for found, values in zip((left, right), kinds, strict=True)])


def _mm(recorder: Recorder, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> None:
    matrix_product(recorder, args[0], args[1], None, out)


def _addmm(recorder: Recorder, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> None:
    matrix_product(recorder, args[1], args[2], args[0], out)


def _addmv(recorder: Recorder, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> None:
    matrix_product(recorder, args[1], args[2].unsqueeze(-1), args[0], out)


def _mv(recorder: Recorder, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> None:
    matrix_product(recorder, args[0], args[1].unsqueeze(-1), None, out)


def _dot(recorder: Recorder, args: tuple[Any, ...], kwargs: Mapping[str, Any], out: Tensor) -> None:
    matrix_product(recorder, args[0].unsqueeze(0), args[1].unsqueeze(-1), None, out)


RULES: Mapping[Any, Rule] = {
    aten.convolution: convolution,
    aten.mm: _mm,
    aten.bmm: _mm,
    aten._int_mm: _mm,
    aten.addmm: _addmm,
    aten.baddbmm: _addmm,
    aten.mv: _mv,
    aten.addmv: _addmv,
    aten.dot: _dot,
    aten.vdot: _dot,
}
"""By ATen operation (all overloads). Multiplications are in ``elementwise``: only those of two activations are synaptic."""
