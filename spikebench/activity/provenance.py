"""Where the elements of a tensor come from: which index of an axis of the network's input each of them belongs to.

Two axes of the input are followed, its first and its second, as two *tracks*: one of them holds the samples, the other, in a
sequence, the time steps (``layout`` says which). What is known is kept by storage, as the place of the index among the digits of
an element's address: then views, permutes, slices and reshapes need no rule. What cannot be written so is ``mixed``, never
guessed: counts by sample are None there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd, prod
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from spikebench.activity import totals

TRACKS = 2
_FEW = 1 << 12
"""Sums that may wait for the end of the pass as they are."""
Unplaced = Literal["all", "mixed"]
"""``all``: the same for every index, as weights are. ``mixed``: made of several indices, or of indices that were lost."""


class Digit(NamedTuple):
    """Of a storage: the byte at ``address`` belongs to index (address + shift) // inner % period, one of ``size``; between
    ``size`` and ``period`` lies what the tensor leaves out.
    """

    inner: int
    size: int
    period: int
    shift: int


class Along(NamedTuple):
    """Of a tensor: position i of ``axis`` belongs to index (i + shift) // inner % size; all of it to ``shift`` if ``axis`` is
    None.
    """

    axis: int | None
    size: int
    inner: int = 1
    shift: int = 0

    def index_of(self, i: int) -> int:
        return (i + self.shift) // self.inner % self.size if self.axis is not None else self.shift


Label = Digit | Unplaced
Place = Along | Unplaced
Labels = tuple[Label, ...]
Places = tuple[Place, ...]
"""One for each track."""
NOWHERE: tuple[Literal["all"], ...] = tuple("all" for _ in range(TRACKS))
MIXED: tuple[Literal["mixed"], ...] = tuple("mixed" for _ in range(TRACKS))


Known = TypeVar("Known", Label, Place)


def combine(places: Iterable[Known]) -> Known:
    """Of what is computed from tensors in these places, element by element; or of a storage written in parts."""
    found: Known = "all"
    for place in places:
        if place != "all" and place != found:
            if found != "all":
                return "mixed"
            found = place
    return found


@lru_cache(maxsize=8192)
def place_in(label: Digit, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, itemsize: int) -> Place:
    """What a storage's label says of a view of it; ``mixed`` where more than one of its axes move the digit."""
    inner, size, period = label.inner, label.size, label.period
    start = offset * itemsize + label.shift
    steps = [(stride * itemsize, n, axis) for axis, (n, stride) in enumerate(zip(shape, strides, strict=True)) if n > 1]
    moving = sorted((step for step in steps if step[0] % (inner * period)), reverse=True)
    if start % inner + sum(stride * (n - 1) for stride, n, _ in moving) < inner:
        index = start // inner % period
        return Along(None, size, shift=index) if index < size else "mixed"
    stride, length, axis = moving[0]
    unit = min(stride, inner)
    if (inner % stride and stride != inner) or start % unit + sum(step * (n - 1) for step, n, _ in moving[1:]) >= unit:
        return "mixed"
    within = inner // unit
    first = start // unit % (within * period)
    if period > size and first + length > within * size:
        return "mixed"
    return Along(axis, size, within, first)


@lru_cache(maxsize=8192)
def places_in(labels: Labels, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, itemsize: int) -> Places:
    """``place_in`` on every track."""
    return tuple(label if isinstance(label, str) else place_in(label, shape, strides, offset, itemsize) for label in labels)


@lru_cache(maxsize=8192)
def labels_of(places: Places, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, itemsize: int) -> Labels:
    """``label_of`` on every track."""
    return tuple(label_of(place, shape, strides, offset, itemsize) for place in places)


@lru_cache(maxsize=8192)
def label_of(place: Place, shape: tuple[int, ...], strides: tuple[int, ...], offset: int, itemsize: int) -> Label:
    """The storage's label that puts this tensor there; ``mixed`` where there is none."""
    if isinstance(place, str) or 0 in shape:
        return place if isinstance(place, str) else "all"
    start = offset * itemsize
    if place.axis is None:
        span = itemsize * prod(shape)
        dense = span == itemsize * (1 + sum(stride * (n - 1) for stride, n in zip(strides, shape, strict=True)))
        return Digit(span, place.size, place.size, (place.shift * span - start) % (span * place.size)) if dense else "mixed"
    step = strides[place.axis] * itemsize
    inner = place.inner * step
    if not inner:
        return "mixed"
    outer = [
        stride * itemsize for stride, n in zip(strides, shape, strict=True) if n > 1 and stride * itemsize >= inner * place.size
    ]
    period = place.size if all(stride % (inner * place.size) == 0 for stride in outer) else gcd(*outer) // inner
    if period < place.size:
        return "mixed"
    # Of all shifts that fit a part of a storage, the one that its other parts, written in turn, will have too.
    label = Digit(inner, place.size, period, (place.shift * step - start // step * step) % (inner * period))
    return label if place_in(label, shape, strides, offset, itemsize) == place else "mixed"


class Grid(NamedTuple):
    """The axes that sums were kept for: ``places`` says what their positions belong to."""

    shape: tuple[int, ...]
    places: Places

    def without(self, axis: int) -> Grid:
        """Summed over one axis."""
        axis %= len(self.shape)
        return Grid((*self.shape[:axis], *self.shape[axis + 1 :]), tuple(summed_over(place, (axis,)) for place in self.places))

    def reads(self, track: int | None, size: int) -> list[int] | None:
        """How many positions belong to each index of ``track``; None where they are as many of each, or nobody knows."""
        place = "mixed" if track is None else self.places[track]
        if isinstance(place, str) or place.size != size or not size:
            return None
        length = 1 if place.axis is None else self.shape[place.axis]
        if place.axis is not None and place.shift == 0 and length % (place.inner * size) == 0:
            return None
        found = [0] * size
        for i in range(length):
            found[place.index_of(i)] += 1
        return found

    def with_first(self) -> Grid:
        """With one more axis, the first, of length 1."""
        return Grid((1, *self.shape), tuple(shifted(place, 1) for place in self.places))

    def leading(self, axes: int) -> Grid:
        """Summed over all but the first ones."""
        rest = range(axes, len(self.shape))
        return Grid(self.shape[:axes], tuple(summed_over(place, rest) for place in self.places))


def shifted(place: Place, by: int) -> Place:
    """After ``by`` more axes."""
    if isinstance(place, str) or place.axis is None or not by:
        return place
    return Along(place.axis + by, place.size, place.inner, place.shift)


def summed_over(place: Place, axes: Sequence[int]) -> Place:
    """After a reduction that drops ``axes``."""
    if isinstance(place, str) or place.axis is None:
        return place
    return "mixed" if place.axis in axes else shifted(place, -sum(axis < place.axis for axis in axes))


@lru_cache(maxsize=8192)
def _telling_nothing(grid: Grid) -> tuple[int, ...]:
    """Axes along which no index changes."""
    kept = {place.axis for place in grid.places if isinstance(place, Along)}
    return tuple(axis for axis in range(len(grid.shape)) if axis not in kept)


class Folded(NamedTuple):
    """``by_index`` (size,), or the sum of all (1,) where indices cannot be told apart; ``of_none``: that belongs to none of them.
    ``by_step`` (steps,), where they lie so.
    """

    by_index: Any
    by_step: Any
    of_none: bool = False


@dataclass(frozen=True, slots=True)
class Rows:
    """Sums (float64, whole numbers; a tensor or numpy's array) of the grid's shape, each to be taken ``factor`` times; many are
    reduced to the axes that tell indices apart.
    """

    sums: Any
    grid: Grid
    factor: int = 1

    @classmethod
    def of(cls, sums: Any, grid: Grid) -> Rows:
        sums = sums.reshape(grid.shape)
        if prod(grid.shape) > _FEW:
            dropped = _telling_nothing(grid)
            if dropped:
                sums = sums.sum(dropped)
                grid = Grid(tuple(sums.shape), tuple(summed_over(place, dropped) for place in grid.places))
        return cls(sums, grid)

    def times(self, factor: int) -> Rows:
        return Rows(self.sums, self.grid, self.factor * factor)

    def _by_step(self, place: Place, size: int, steps: int | None) -> Any:
        """Sums (steps,), without the factor, where time lies before the samples, in an axis of its own or folded into theirs;
        None where it does not. Only for networks that are known to do so: equal lengths are no evidence.
        """
        if steps is None or isinstance(place, str) or place.axis is None or place.size != size or place.shift:
            return None
        if prod(self.grid.shape[: place.axis]) * self.grid.shape[place.axis] != steps * place.inner * size:
            return None
        return self.sums.reshape(steps, -1).sum(1)

    def fold(self, track: int | None, size: int, steps: int | None = None) -> Folded:
        """By index of ``track``, and by step if ``steps`` are asked for. float64, without the factor."""
        place = "mixed" if track is None else self.grid.places[track]
        if size <= 1 or isinstance(place, str) or place.size != size:
            return Folded(self.sums.sum().reshape(1), self._by_step(place, size, steps), place == "all")
        if place.axis is None:
            return Folded(_at([place.shift], self.sums.sum().reshape(1), size), None)
        length, axis = self.grid.shape[place.axis], place.axis
        after = prod(self.grid.shape[axis + 1 :])
        whole = place.shift == 0 and length % (place.inner * size) == 0
        if whole and isinstance(self.sums, np.ndarray):
            by_step, by_index = totals.fold(self.sums, size, place.inner * after)
            return Folded(by_index, by_step if len(by_step) == steps else None)
        if whole:
            by_index = self.sums.reshape(-1, size, place.inner * after).sum((0, 2))
        else:
            by_position = self.sums.reshape(-1, length, after).sum((0, 2))
            by_index = _at([place.index_of(i) for i in range(length)], by_position, size)
        return Folded(by_index, self._by_step(place, size, steps))


def _at(index: Sequence[int], sums: Any, size: int) -> Any:
    """(size,): ``sums`` added up by ``index``."""
    if not isinstance(sums, Tensor):
        return np.bincount(np.array(index, np.int64), sums, size)
    return sums.new_zeros(size).index_add_(0, torch.tensor(index, device=sums.device), sums)
