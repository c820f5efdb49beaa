"""What each storage holds, followed through the pass.

Kept by storage, not by tensor: a view shares its base's storage, so views, permutes, reshapes and slices carry their values' kind
without a rule of their own. A weak reference keeps the address from being given to another storage while it is a key here.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef

from spikebench.activity.kinds import join
from spikebench.activity.measure import Measure, of_counts
from spikebench.activity.provenance import MIXED, NOWHERE, Grid, Labels, Places, combine, labels_of, places_in
from spikebench.core.values import Values
from spikebench.kernels.lif import Counts


@dataclass(frozen=True, slots=True)
class Fired:
    """Spikes of a neuron layer: ``by_row`` (T B,) nonzero outputs by step and sample, ``grid`` its axes (T, B), ``wrong`` as in
    ``Measure``, ``elements`` in all. ``counts``: by position too, where their kernel has counted them.
    """

    by_row: Any
    grid: Grid
    wrong: Any
    elements: int
    counts: Counts | None = None

    def by_position(self, shape: tuple[int, ...], scale: float) -> Measure:
        """Over the neurons that lie side by side at each position of ``shape``, where ``counts`` are of these."""
        assert self.counts is not None
        return of_counts(self.counts.by_run.reshape(shape), scale, self.wrong, self.elements)


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


@dataclass(slots=True)
class _Storage:
    """``labels``: one for each track (``provenance``); None until whoever made it has said where it belongs. ``opaque``: a tensor
    without a storage that could be asked for.
    """

    origin: Origin
    alive: Any
    opaque: bool
    labels: Labels | None = None


class Tracker:
    """storage -> what it holds and where it belongs, for one pass; what is kept outlives passes. What has no storage (sparse, a
    wrapper) goes by itself.

    ``at_hand``: the inputs of the operation that is being counted, by ``id``: its rule asks for each of them again and again.
    ``read_by_python``: whether Python has read a value of this pass. All that follows may depend on it, so that nothing is known
    to belong to one index any more.
    """

    def __init__(self) -> None:
        self._storages: dict[int, _Storage] = {}
        self._kept: dict[int, tuple[_Storage, Origin]] = {}
        self.at_hand: dict[int, _Storage] = {}
        self.read_by_python = False

    def keep(self, tensor: Tensor, origin: Origin) -> None:
        """For tensors that are there before the pass, such as weights."""
        self.set(tensor, origin)
        found = self._storages[key := storage_key(tensor)]
        found.labels = NOWHERE
        self._kept[key] = (found, origin)

    def forget(self) -> None:
        """The pass is over."""
        self.read_by_python = False
        self.at_hand.clear()
        for found, origin in self._kept.values():
            found.origin, found.labels = origin, NOWHERE
        self._storages = {key: found for key, (found, _) in self._kept.items()}

    def take_up(self, tensors: Sequence[Tensor]) -> list[Places]:
        """Make these the tensors at hand, and say where they belong."""
        self.at_hand.clear()
        places: list[Places] = []
        for tensor in tensors:
            found = self._find(tensor)
            if found is None:
                places.append(NOWHERE)
            else:
                self.at_hand[id(tensor)] = found
                places.append(NOWHERE if found.labels is NOWHERE else self.places(tensor))
        return places

    def _find(self, tensor: Tensor) -> _Storage | None:
        if id(tensor) in self.at_hand:
            return self.at_hand[id(tensor)]
        try:  # as ``storage_key`` does, in line for its cost
            return self._storages.get(tensor.untyped_storage()._cdata)
        except (NotImplementedError, RuntimeError, ValueError):
            found = self._storages.get(-id(tensor))
            return None if found is None or found.alive() is not tensor else found

    def get(self, tensor: Tensor) -> Origin | None:
        found = self.at_hand.get(id(tensor)) or self._find(tensor)
        return None if found is None else found.origin

    def set(self, tensor: Tensor, origin: Origin) -> None:
        found = self._find(tensor)
        if found is not None:
            found.origin = origin
            return
        key = storage_key(tensor)
        alive = weakref.ref(tensor) if key < 0 else StorageWeakRef(tensor.untyped_storage())  # type: ignore[no-untyped-call]
        self._storages[key] = _Storage(origin, alive, key < 0)

    def place_input(self, tensor: Tensor, places: Places) -> None:
        """An input of the network; the same memory may be given twice."""
        known = self._find(tensor)
        self.set(tensor, Origin(activation=True))
        self.put(tensor, MIXED if known is not None and self.places(tensor) != places else places, written=True)

    def places(self, tensor: Tensor) -> Places:
        """Where ``tensor`` belongs. What no operation of this pass made is a constant, the same for all samples."""
        found = self._find(tensor)
        if found is None or found.labels is NOWHERE:
            return NOWHERE
        if self.read_by_python or found.labels is None or found.labels == MIXED:
            return MIXED
        return places_in(found.labels, tensor.shape, tensor.stride(), tensor.storage_offset(), tensor.element_size())

    def put(self, tensor: Tensor, places: Places, written: bool = False) -> None:
        """``tensor``, which is known, belongs there. A storage that belongs somewhere stays, unless it is ``written``: a part of
        it must fit to what the rest is.
        """
        found = self._find(tensor)
        if found is None or (found.labels is not None and not written):
            return
        labels: Labels
        if places is NOWHERE or places is MIXED or found.opaque:
            labels = NOWHERE if places is NOWHERE else MIXED
        else:
            labels = labels_of(places, tensor.shape, tensor.stride(), tensor.storage_offset(), tensor.element_size())
        if found.labels is not None and not _is_whole(tensor):
            labels = tuple(combine((before, now)) for before, now in zip(found.labels, labels, strict=True))
        found.labels = NOWHERE if labels == NOWHERE else labels

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
        found = self.at_hand.get(id(tensor)) or self._find(tensor)
        return found is not None and found.origin.activation

    def values(self, tensor: Tensor) -> Values | None:
        origin = self.get(tensor)
        return None if origin is None else origin.values


def storage_key(tensor: Tensor) -> Any:
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
