"""What each storage holds, followed through the pass.

Kept by storage, not by tensor: a view shares its base's storage, so views, permutes, reshapes and slices carry their values' kind
without a rule of their own. A weak reference keeps the address from being given to another storage while it is a key here.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from spikebench.activity.kinds import join
from spikebench.core.values import Values


@dataclass(frozen=True, slots=True)
class Fired:
    """Spikes of a neuron layer: ``by_row`` (T B,) nonzero outputs by step and sample, ``wrong`` as in ``Measure``, ``elements``
    in all.
    """

    by_row: Tensor
    wrong: Tensor
    elements: int


@dataclass(frozen=True, slots=True)
class Trace:
    """Of values since the last layer: ``spikes``: they depend on the outcome of a threshold. ``products``: elementwise products
    with such factors that they depend on; ``decides``: those that fed the threshold whose outcome (true, false) this is. See
    ``membranes``.
    """

    spikes: bool
    products: Mapping[tuple[str, str, int], str]
    decides: Mapping[tuple[str, str, int], str]


def merged(a: Trace | None, b: Trace | None) -> Trace | None:
    if a is None or b is None or a is b:
        return a or b
    return Trace(a.spikes or b.spikes, {**a.products, **b.products}, {**a.decides, **b.decides})


@dataclass(frozen=True, slots=True)
class Origin:
    """``activation``: it depends on the network's input. ``values``: what it was declared to hold, if anything was declared.

    ``blank``: zeros, or memory that nothing was written to; ``unwritten``: the latter. ``outside``: made, at least in part, of
    data that came from outside PyTorch's operators during the pass.
    """

    activation: bool
    values: Values | None = None
    blank: bool = False
    unwritten: bool = False
    outside: bool = False
    fired: Fired | None = None
    trace: Trace | None = None


WEIGHT = Origin(activation=False)
ZEROS = Origin(activation=True, blank=True)
"""A state at rest, say: what it is multiplied with is computed, though nothing comes of it."""
UNWRITTEN = Origin(activation=False, blank=True, unwritten=True)
OUTSIDE = Origin(activation=False, outside=True)


class Tracker:
    """storage -> Origin, for one pass; what is kept outlives passes. What has no storage (sparse, a wrapper) goes by itself."""

    def __init__(self) -> None:
        self._origins: dict[int, tuple[Origin, Any]] = {}
        self._kept: dict[int, tuple[Origin, Any]] = {}

    def keep(self, tensor: Tensor, origin: Origin) -> None:
        """For tensors that are there before the pass, such as weights."""
        self.set(tensor, origin)
        key = _key(tensor)
        self._kept[key] = self._origins[key]

    def forget(self) -> None:
        """The pass is over."""
        self._origins = dict(self._kept)

    def get(self, tensor: Tensor) -> Origin | None:
        found = self._origins.get(key := _key(tensor))
        if found is None or (key < 0 and found[1]() is not tensor):
            return None
        return found[0]

    def set(self, tensor: Tensor, origin: Origin) -> None:
        key = _key(tensor)
        known = self._origins.get(key)
        if key < 0:
            alive: Any = weakref.ref(tensor)
        else:
            alive = StorageWeakRef(tensor.untyped_storage()) if known is None else known[1]  # type: ignore[no-untyped-call]
        self._origins[key] = (origin, alive)

    def declare(self, tensor: Tensor, values: Values) -> None:
        origin = self.get(tensor)
        self.set(tensor, Origin(True, values) if origin is None else replace(origin, values=values, blank=False, unwritten=False))

    def write(self, tensor: Tensor, origin: Origin) -> None:
        """An in-place write into ``tensor``, which may be a part of its storage: other parts keep what they held."""
        before = self.get(tensor)
        if before is None or before.blank or _is_whole(tensor):
            self.set(tensor, origin)
            return
        values = before.values if origin.blank else join((before.values, origin.values))
        activation, outside = origin.activation or before.activation, origin.outside or before.outside
        self.set(tensor, Origin(activation, values, outside=outside and not activation, trace=merged(origin.trace, before.trace)))

    def is_activation(self, tensor: Tensor) -> bool:
        """A tensor that no operation of this pass made is taken for a constant of the network."""
        origin = self.get(tensor)
        return origin is not None and origin.activation

    def values(self, tensor: Tensor) -> Values | None:
        origin = self.get(tensor)
        return None if origin is None else origin.values


def _key(tensor: Tensor) -> Any:
    """An address; below 0 that of the tensor itself, which then has no storage that could be asked for."""
    try:
        return tensor.untyped_storage()._cdata
    except (NotImplementedError, RuntimeError, ValueError):
        return -id(tensor)


def _is_whole(tensor: Tensor) -> bool:
    try:
        return tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes()
    except (NotImplementedError, RuntimeError, ValueError):
        return True
