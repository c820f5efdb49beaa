"""What each storage holds, followed through the pass.

Kept by storage, not by tensor: a view shares its base's storage, so views, permutes, reshapes and slices carry their values' kind
without a rule of their own. A weak reference keeps the address from being given to another storage while it is a key here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from spikebench.core.values import INTEGER, Values


@dataclass(frozen=True, slots=True)
class Fired:
    """Spikes of a neuron layer: ``by_row`` (T B,) nonzero outputs by step and sample, ``wrong`` as in ``Measure``, ``elements``
    in all.
    """

    by_row: Tensor
    wrong: Tensor
    elements: int


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


WEIGHT = Origin(activation=False)
ZEROS = Origin(activation=True, blank=True)
"""A state at rest, say: what it is multiplied with is computed, though nothing comes of it."""
UNWRITTEN = Origin(activation=False, blank=True, unwritten=True)
OUTSIDE = Origin(activation=False, outside=True)


class Tracker:
    """storage -> Origin, for one pass; what is kept outlives passes."""

    def __init__(self) -> None:
        self._origins: dict[int, tuple[Origin, StorageWeakRef]] = {}
        self._kept: dict[int, tuple[Origin, StorageWeakRef]] = {}

    def keep(self, tensor: Tensor, origin: Origin) -> None:
        """For tensors that are there before the pass, such as weights."""
        self.set(tensor, origin)
        key = tensor.untyped_storage()._cdata
        self._kept[key] = self._origins[key]

    def forget(self) -> None:
        """The pass is over."""
        self._origins = dict(self._kept)

    def get(self, tensor: Tensor) -> Origin | None:
        found = self._origins.get(tensor.untyped_storage()._cdata)
        return None if found is None else found[0]

    def set(self, tensor: Tensor, origin: Origin) -> None:
        storage = tensor.untyped_storage()
        known = self._origins.get(storage._cdata)
        self._origins[storage._cdata] = (origin, StorageWeakRef(storage) if known is None else known[1])  # type: ignore[no-untyped-call]

    def declare(self, tensor: Tensor, values: Values) -> None:
        origin = self.get(tensor)
        self.set(tensor, Origin(True, values) if origin is None else replace(origin, values=values, blank=False, unwritten=False))

    def write(self, tensor: Tensor, activation: bool, values: Values | None) -> None:
        """An in-place write into ``tensor``, which may be a part of its storage: other parts keep what they held."""
        before = self.get(tensor)
        whole = tensor.numel() * tensor.element_size() == tensor.untyped_storage().nbytes()
        if before is None or whole or before.blank:
            self.set(tensor, Origin(activation, values))
        else:
            self.set(tensor, Origin(activation or before.activation, join((before.values, values))))

    def is_activation(self, tensor: Tensor) -> bool:
        """A tensor that no operation of this pass made is taken for a constant of the network."""
        origin = self.get(tensor)
        return origin is not None and origin.activation

    def values(self, tensor: Tensor) -> Values | None:
        origin = self.get(tensor)
        return None if origin is None else origin.values


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
    return None if values is None or factor == 0 else replace(values, scale=values.scale * factor)
