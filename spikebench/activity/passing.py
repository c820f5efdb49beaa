"""How operations pass on which index of the input their elements belong to (``provenance``): one rule for each kind of them.

A rule gets the places of the inputs on one track and gives the output's. It is asked only where some input has a place and none
is mixed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from spikebench.activity.provenance import Along, Place, combine, label_of, place_in, shifted, summed_over

aten = torch.ops.aten


@lru_cache(maxsize=1024)
def _signature(func: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((argument.name, argument.default_value) for argument in func._schema.arguments)


class Call:
    """One operation: its arguments by name, and where its tensors come from, on one track."""

    def __init__(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], inputs: Sequence[Tensor], out: Tensor) -> None:
        self.func, self.args, self.kwargs, self.inputs, self.out = func, args, kwargs, inputs, out
        self.places: dict[int, Place] = {}

    def at(self, x: Tensor) -> Place:
        return self.places[id(x)]

    def broadcast(self, x: Tensor) -> Place:
        """With x's last axis on the output's last."""
        return shifted(self.at(x), self.out.dim() - x.dim())

    def get(self, name: str) -> Any:
        for position, (known, default) in enumerate(_signature(self.func)):
            if known == name:
                return self.args[position] if position < len(self.args) else self.kwargs.get(name, default)
        return None

    def axes(self, name: str, x: Tensor) -> list[int]:
        """An argument that names axes of x; all of them where it is left out."""
        found = self.get(name)
        if found is None or found == []:
            return list(range(x.dim()))
        return [axis % max(1, x.dim()) for axis in ([found] if isinstance(found, int) else found)]


Rule = Callable[[Call], Place]


def elementwise(call: Call) -> Place:
    return combine(map(call.broadcast, call.inputs))


def copied(call: Call) -> Place:
    return call.broadcast(call.args[1])


def created(call: Call) -> Place:
    """From the shape of another tensor, at most."""
    return "all"


def filled(call: Call) -> Place:
    return combine(call.at(x) for x in call.inputs if x is not call.args[0])


def reduced(call: Call) -> Place:
    """Along ``dim``; without it over everything, or of two tensors."""
    x = call.args[0]
    if isinstance(call.get("other"), Tensor):
        return elementwise(call)
    place, axes = call.at(x), call.axes("dim", x)
    if isinstance(place, str) or place.axis is None:
        return place
    return place if call.out.dim() == x.dim() and place.axis not in axes else summed_over(place, axes)


def along(name: str) -> Rule:
    """Elements change their places along the axes called ``name``, or are chosen there by what belongs to no index."""

    def rule(call: Call) -> Place:
        x = call.args[0]
        place = call.at(x)
        if any(call.at(other) != "all" for other in call.inputs if other is not x):
            return "mixed"
        moves = call.axes(name, x)
        return "mixed" if isinstance(place, Along) and place.axis in moves else place

    return rule


def leading(last: int) -> Rule:
    """The last ``last`` axes are windows, norms or the like; those before stay."""

    def rule(call: Call) -> Place:
        x = call.args[0]
        return _only(call, call.inputs[:1], lambda axis: axis < x.dim() - last)

    return rule


def first(batched: int) -> Rule:
    """The first axis stays, if there are ``batched`` of them and so it is not the channels."""

    def rule(call: Call) -> Place:
        return _only(call, call.inputs[:1], lambda axis: axis == 0 and call.args[0].dim() == batched)

    return rule


def _only(call: Call, sources: Iterable[Tensor], stays: Callable[[int], bool]) -> Place:
    """Of ``sources`` alone (weights beside them have no place), along an axis that ``stays``."""
    sources = list(sources)
    if any(call.at(x) != "all" for x in call.inputs if not any(x is source for source in sources)):
        return "mixed"
    place = combine(map(call.at, sources))
    return "mixed" if isinstance(place, Along) and place.axis is not None and not stays(place.axis) else place


def layer_norm(call: Call) -> Place:
    return leading(len(call.get("normalized_shape")))(call)


def group_norm(call: Call) -> Place:
    return _only(call, call.inputs[:1], lambda axis: axis == 0)


def batch_norm(call: Call) -> Place:
    """In training it takes means over all axes but the channels'; as instance norm uses it, samples are among those."""
    training = call.func.overloadpacket is aten._batch_norm_with_update or call.get("training")
    return _only(call, call.inputs[:1], (lambda axis: axis == 1) if training else (lambda axis: True))


def convolution(call: Call) -> Place:
    return _only(call, call.inputs[:1], lambda axis: axis == 0 and call.args[0].dim() == call.args[1].dim())


def product(a: int, b: int, bias: int | None = None) -> Rule:
    """Of arguments number ``a`` (..., n, k) and ``b`` (..., k, m) or (k,), to which number ``bias`` is added."""

    def rule(call: Call) -> Place:
        left, right = call.args[a], call.args[b]
        places = []
        for x, contracted in ((left, left.dim() - 1), (right, max(0, right.dim() - 2))):
            place = call.at(x)
            if isinstance(place, Along) and place.axis == contracted:
                return "mixed"
            places.append(place)
        if bias is not None:
            places.append(call.broadcast(call.args[bias]))
        return combine(places)

    return rule


def joined(call: Call) -> Place:
    """``cat``, and ``stack`` along a new axis. Where the pieces differ along it, their indices must make one run."""
    new = call.func.overloadpacket is aten.stack
    parts = [x for x in call.args[0] if x.dim() == call.out.dim() - new]
    dim = (call.get("dim") or 0) % call.out.dim()
    places = [call.at(x) for x in parts]
    if new:
        places = [shifted(place, 1) if isinstance(place, Along) and (place.axis or 0) >= dim else place for place in places]
    together = combine(places)
    if together == "mixed" or (isinstance(together, Along) and together.axis == dim):
        return _run([(place, 1 if new else x.shape[dim]) for place, x in zip(places, parts, strict=True)], dim)
    return together


def _run(pieces: list[tuple[Place, int]], dim: int) -> Place:
    """One place along ``dim`` for pieces, with their lengths, side by side."""
    known = [(place, length) for place, length in pieces if isinstance(place, Along) and length]
    if len(known) < len(pieces) or any(place.axis not in (None, dim) for place, _ in known):
        return "mixed"
    first, length = known[0]
    whole = first if first.axis is not None else Along(dim, first.size, length, first.shift * length)
    start = 0
    for place, length in known:
        if any(whole.index_of(start + i) != place.index_of(i) for i in range(length)) or place.size != whole.size:
            return "mixed"
        start += length
    return Along(dim, whole.size, whole.inner, whole.shift % (whole.inner * whole.size))


def padded(call: Call) -> Place:
    widths = call.get("pad")
    touched = {call.out.dim() - 1 - i // 2 for i, width in enumerate(widths) if width}
    return _only(call, call.inputs[:1], lambda axis: axis not in touched)


def repeated(call: Call) -> Place:
    x, times = call.args[0], call.args[1]
    place = call.broadcast(x)
    if isinstance(place, str) or place.axis is None or times[place.axis] == 1:
        return place
    whole = place.shift == 0 and x.shape[place.axis - call.out.dim()] % (place.inner * place.size) == 0
    return place if whole else "mixed"


def indexed(call: Call) -> Place:
    """Whole numbers pick along neighbouring axes; picked by what belongs to no index, or of what belongs to none."""
    x, indices = call.args[0], list(call.args[1])
    axes = [axis for axis, index in enumerate(indices) if index is not None]
    picks = [index for index in indices if index is not None]
    if any(index.dtype in (torch.bool, torch.uint8) for index in picks) or axes != list(range(axes[0], axes[0] + len(axes))):
        return "mixed"
    width = max(index.dim() for index in picks)
    place, picked = call.at(x), [call.at(index) for index in picks]
    if any(other != "all" for other in picked):
        ends = [axes[0] + width - index.dim() for index in picks]
        return "mixed" if place != "all" else combine(map(shifted, picked, ends))
    if isinstance(place, Along) and place.axis in axes:
        return "mixed"
    return shifted(place, width - len(axes)) if isinstance(place, Along) and (place.axis or 0) > axes[0] else place


def gathered(call: Call) -> Place:
    x, index = call.args[0], call.get("index")
    dim = call.get("dim") % max(1, x.dim())
    return _only(call, (x, index), lambda axis: axis != dim)


def looked_up(call: Call) -> Place:
    return _only(call, (call.args[1],), lambda axis: True)


def sampled(call: Call) -> Place:
    return _only(call, call.args[:2], lambda axis: axis == 0)


def reshaped(call: Call) -> Place:
    """Copied in the order of rows."""
    x, out = call.args[0], call.out
    label = label_of(call.at(x), tuple(x.shape), _rows_first(x.shape), 0, 1)
    return label if isinstance(label, str) else place_in(label, tuple(out.shape), _rows_first(out.shape), 0, 1)


def _rows_first(shape: Sequence[int]) -> tuple[int, ...]:
    strides = [1]
    for n in reversed(shape[1:]):
        strides.insert(0, strides[0] * n)
    return tuple(strides[: len(shape)])
