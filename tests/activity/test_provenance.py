"""Labels of storages against brute force: every element carries its index along, and so must what is said of where it is."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikebench.activity import following, provenance
from spikebench.activity.provenance import Along, Place
from spikebench.activity.recorder import RULES
from spikebench.activity.tracking import WEIGHT, Tracker


def indices(shape: tuple[int, ...], axis: int) -> Tensor:
    """A tensor whose elements are their own index of ``axis``."""
    view = [1] * len(shape)
    view[axis] = shape[axis]
    return torch.arange(shape[axis]).view(view).expand(shape).contiguous().double()


def claimed(place: Place, shape: torch.Size) -> Tensor:
    """The index that ``place`` says each element has."""
    assert isinstance(place, Along)
    if place.axis is None:
        return torch.full(shape, float(place.shift))
    along = torch.tensor([float(place.index_of(i)) for i in range(shape[place.axis])])
    return along.view([-1 if axis == place.axis else 1 for axis in range(len(shape))]).expand(shape)


@st.composite
def viewed(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """A tensor of indices and a chain of views of it."""
    shape = tuple(draw(st.lists(st.integers(1, 4), min_size=2, max_size=4)))
    base = indices(shape, draw(st.integers(0, len(shape) - 1)))
    x = base
    for _ in range(draw(st.integers(0, 5))):
        kind = draw(st.sampled_from(["permute", "flatten", "select", "slice", "unflatten", "unsqueeze"]))
        axis = draw(st.integers(0, max(0, x.dim() - 1)))
        if x.dim() == 0:
            break
        if kind == "permute":
            x = x.permute(draw(st.permutations(range(x.dim()))))
        elif kind == "flatten" and x.dim() > 1 and x.is_contiguous():
            x = x.flatten(min(axis, x.dim() - 2), min(axis, x.dim() - 2) + 1)
        elif kind == "select":
            x = x.select(axis, draw(st.integers(0, x.shape[axis] - 1)))
        elif kind == "slice":
            start = draw(st.integers(0, x.shape[axis] - 1))
            x = x.narrow(axis, start, draw(st.integers(1, x.shape[axis] - start)))
        elif kind == "unflatten" and x.shape[axis] % 2 == 0:
            x = x.unflatten(axis, (2, -1))
        elif kind == "unsqueeze":
            x = x.unsqueeze(axis)
    return base, x


def where(x: Tensor) -> tuple[tuple[int, ...], tuple[int, ...], int, int]:
    return tuple(x.shape), x.stride(), x.storage_offset(), x.element_size()


@settings(max_examples=400, deadline=None)
@given(viewed())
def test_what_is_said_of_a_view_is_what_its_elements_carry(pair: tuple[Tensor, Tensor]) -> None:
    base, x = pair
    axis = next(
        (
            axis
            for axis in range(base.dim())
            if base.select(axis, 0).unique().numel() == 1
            and base.shape[axis] > 1
            and base.select(axis, 1).unique().tolist() == [1.0]
        ),
        None,
    )
    if axis is None:
        return
    label = provenance.label_of(Along(axis, base.shape[axis]), *where(base))
    assert label != "mixed"
    place = provenance.place_in(label, *where(x))
    if place != "mixed":
        assert torch.equal(claimed(place, x.shape), x)
        again = provenance.label_of(place, *where(x.contiguous().clone()))
        if again != "mixed":
            copy = x.contiguous().clone()
            assert torch.equal(claimed(provenance.place_in(again, *where(copy)), copy.shape), copy)


@settings(max_examples=200, deadline=None)
@given(st.integers(2, 4), st.integers(2, 5), st.integers(1, 4), st.permutations(range(3)))
def test_permuted_and_flattened_batches_stay_known(T: int, B: int, N: int, order: list[int]) -> None:
    """Never ``mixed`` where steps, samples and features are only moved about."""
    base = indices((T, B, N), 1)
    label = provenance.label_of(Along(1, B), *where(base))
    for x in (base.permute(order), base.flatten(0, 1), base.unsqueeze(2), base[0], base[:, 0], base[1:], base[:, :, :1]):
        place = provenance.place_in(label, *where(x))
        assert torch.equal(claimed(place, x.shape), x)


def test_every_operation_that_is_counted_says_where_its_output_belongs() -> None:
    """A closed world: a new rule for counts must come with one for places, or be named as mixing."""
    missing = {str(packet) for packet in RULES if packet not in following.RULES and packet not in following.MIXING}
    assert missing == set()


def test_a_storage_that_is_written_in_parts_must_fit() -> None:
    tracker = Tracker()
    buffer = torch.zeros(3, 2, 4)
    tracker.set(buffer, WEIGHT)
    tracker.put(buffer, provenance.NOWHERE)
    for t in range(3):
        tracker.put(buffer[t], (Along(None, 3, shift=t), Along(0, 2)), written=True)
    assert tracker.places(buffer) == (Along(0, 3), Along(1, 2))
    tracker.put(buffer[0].t(), (Along(None, 3, shift=0), Along(0, 2)), written=True)
    assert tracker.places(buffer)[1] == "mixed"
