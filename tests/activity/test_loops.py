"""The compiled loops against torch's reductions, whatever the axis, the memory order, the threads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikebench.activity import loops

SHAPES = st.lists(st.integers(1, 7), min_size=2, max_size=4)


@pytest.fixture(autouse=True, scope="module")
def two_threads() -> Iterator[None]:
    before, grain = torch.get_num_threads(), loops._GRAIN
    torch.set_num_threads(2)
    loops._GRAIN = 16
    yield
    torch.set_num_threads(before)
    loops._GRAIN = grain


def made(shape: list[int], seed: int, order: list[int], skip: bool, integers: bool) -> Tensor:
    """A tensor of ``shape`` whose memory is laid out in another order of axes, with gaps if ``skip``."""
    g = torch.Generator().manual_seed(seed)
    stored = [shape[axis] for axis in order]
    if skip:
        stored[-1] *= 2
    x = (torch.rand(stored, generator=g) < 0.5).float()
    if integers:
        x = x * torch.randint(-3, 9, stored, generator=g)
    if skip:
        x = x[..., ::2]
    return x.permute([order.index(axis) for axis in range(len(shape))])


CASE = given(shape=SHAPES, seed=st.integers(0, 10**6), data=st.data(), skip=st.booleans())


@settings(max_examples=150, deadline=None)
@CASE
def test_spikes(shape: list[int], seed: int, data: st.DataObject, skip: bool) -> None:
    order, dim = data.draw(st.permutations(range(len(shape)))), data.draw(st.integers(-len(shape), len(shape) - 1))
    x = made(shape, seed, order, skip, integers=False) * 0.5
    spoiled = data.draw(st.booleans())
    if spoiled:
        x = x.clone()
        x[(-1,) * x.dim()] = 0.25
    nonzero, wrong = loops.spikes(x, dim, 0.5)
    assert torch.equal(nonzero, x.ne(0).sum(dim).float())
    assert int(wrong) == int(spoiled)


@settings(max_examples=150, deadline=None)
@CASE
def test_values(shape: list[int], seed: int, data: st.DataObject, skip: bool) -> None:
    order, dim = data.draw(st.permutations(range(len(shape)))), data.draw(st.integers(-len(shape), len(shape) - 1))
    units = made(shape, seed, order, skip, integers=True)
    scale, tolerance = data.draw(st.sampled_from([(1.0, 0.0), (0.125, 1e-3), (12**-0.5, 1e-3)]))
    for dtype in (torch.float32, torch.float64):
        nonzero, total, magnitude, wrong, largest = loops.values(units * scale, dim, scale, tolerance, dtype)
        assert torch.equal(nonzero, units.ne(0).sum(dim).float())
        assert torch.equal(magnitude, units.abs().sum(dim, dtype=dtype))
        torch.testing.assert_close(total.double(), (units * scale).sum(dim, dtype=torch.float64), rtol=1e-5, atol=1e-5)
        assert int(wrong) == 0
        assert float(largest) == float((units * scale).max())
    real = units * scale + 0.3 * scale
    assert int(loops.values(real, dim, scale, tolerance, torch.float64)[-2]) == real.numel()
    assert int(loops.values(real * float("nan"), dim, scale, tolerance, torch.float64)[-2]) == real.numel()


@settings(max_examples=100, deadline=None)
@given(rows=st.integers(1, 9), neurons=st.integers(1, 200), seed=st.integers(0, 10**6))
def test_firing(rows: int, neurons: int, seed: int) -> None:
    x = (torch.rand(rows, neurons, generator=torch.Generator().manual_seed(seed)) < 0.4).float()
    by_neuron = torch.full((neurons,), 5.0)
    by_row, wrong = loops.firing(x, 1.0, by_neuron)
    assert torch.equal(by_row, x.sum(1).double())
    assert torch.equal(by_neuron, x.sum(0) + 5)
    assert int(wrong) == 0
    x[-1, -1] = 2
    assert int(loops.firing(x, 1.0, by_neuron)[1]) == 1


def test_long_axes_and_many_columns_cross_the_blocks() -> None:
    x = (torch.rand(3, 5, 70_000) < 0.5).float()
    assert torch.equal(loops.spikes(x, 1, 1.0)[0], x.sum(1))
    assert torch.equal(loops.spikes(x, 2, 1.0)[0], x.sum(2))
    by_neuron = torch.zeros(70_000)
    by_row, _ = loops.firing(x.flatten(0, 1), 1.0, by_neuron)
    assert torch.equal(by_neuron, x.flatten(0, 1).sum(0))
    assert torch.equal(by_row, x.flatten(0, 1).double().sum(1))
