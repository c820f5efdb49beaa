"""Exact counts against plain Python loops over every multiplication that a layer does."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from spikebench.activity import count

VALUES = st.sampled_from(["binary", "zeros", "ones", "integer", "ternary", "half", "real"])
MANY = settings(max_examples=120, deadline=None)


def tensor(kind: str, shape: tuple[int, ...], seed: int) -> Tensor:
    g = torch.Generator().manual_seed(seed)
    spikes = (torch.rand(shape, generator=g) < 0.4).float()
    if kind == "binary":
        return spikes
    if kind in ("zeros", "ones"):
        return torch.full(shape, float(kind == "ones"))
    if kind == "integer":
        return spikes * torch.randint(1, 6, shape, generator=g)
    if kind == "ternary":
        return spikes * (torch.randint(0, 2, shape, generator=g) * 2 - 1)
    if kind == "half":
        return spikes / 2
    return spikes * torch.randn(shape, generator=g)


def kind_of(*tensors: Tensor) -> list[str]:
    def one(x: Tensor) -> str:
        values = set(x.flatten().tolist())
        if values <= {0.0, 1.0}:
            return "binary"
        return "integer" if all(value == int(value) for value in values) else "real"

    return [one(x) for x in tensors]


class Function(nn.Module):
    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Tensor) -> Tensor:
        return self.function(*args)  # type: ignore[operator]


def only_site(model: nn.Module, *inputs: Tensor):  # type: ignore[no-untyped-def]
    analysis = count(model, inputs)
    assert analysis.not_counted == ()
    (site,) = [site for site in analysis.sites if site.synaptic]
    return site, analysis


@MANY
@given(data=st.data(), kind=VALUES, dims=st.sampled_from([1, 2]), transposed=st.booleans(), seed=st.integers(0, 10**6))
def test_convolution(data: st.DataObject, kind: str, dims: int, transposed: bool, seed: int) -> None:
    axis = st.lists(st.integers(1, 3), min_size=dims, max_size=dims)
    kernel, stride, dilation = data.draw(axis), data.draw(axis), data.draw(axis)
    padding = data.draw(st.lists(st.integers(0, 2), min_size=dims, max_size=dims))
    groups, per_group, out_per_group = (
        data.draw(st.sampled_from([1, 2, 3])),
        data.draw(st.integers(1, 2)),
        data.draw(st.integers(1, 2)),
    )
    smallest = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    size = [data.draw(st.integers(low, low + 3)) for low in smallest]
    channels, filters = groups * per_group, groups * out_per_group
    cls = {(1, False): nn.Conv1d, (2, False): nn.Conv2d, (1, True): nn.ConvTranspose1d, (2, True): nn.ConvTranspose2d}[
        dims, transposed
    ]
    if transposed:
        grown = [(n - 1) * s - 2 * p + low for n, s, p, low in zip(size, stride, padding, smallest, strict=True)]
        padding = [p if g > 0 else 0 for p, g in zip(padding, grown, strict=True)]
    layer = cls(channels, filters, kernel, stride, padding, dilation=dilation, groups=groups)
    x = tensor(kind, (2, channels, *size), seed)
    out = layer(x).shape[2:]

    dense = inside = events = 0
    unit = 0.0
    anchor, other = (size, out) if transposed else (out, size)  # positions that move the kernel; positions it reaches
    for b, c, o in product(range(2), range(channels), range(filters)):
        if c // per_group != o // out_per_group:
            continue
        for position in product(*map(range, anchor)):
            for tap in product(*map(range, kernel)):
                dense += 1
                reached = [a * s - p + k * d for a, s, p, k, d in zip(position, stride, padding, tap, dilation, strict=True)]
                if not all(0 <= r < n for r, n in zip(reached, other, strict=True)):
                    continue
                inside += 1
                value = x[(b, c, *(position if transposed else reached))].item()
                events += value != 0
                unit += abs(value)
    site, _ = only_site(layer, x)
    assert site.input == kind_of(x)[0]
    assert (site.dense_macs, site.dense_macs_inside, site.events) == (dense, inside, events)
    assert site.unit_acs == (None if site.input == "real" else unit)
    assert site.nonzero_fraction == pytest.approx((x != 0).double().mean().item())
    assert site.other_ops == layer(x).numel()


@MANY
@given(
    kind=VALUES,
    lead=st.lists(st.integers(1, 3), max_size=3),
    fan_in=st.integers(1, 6),
    fan_out=st.integers(1, 6),
    seed=st.integers(0, 10**6),
)
def test_linear(kind: str, lead: list[int], fan_in: int, fan_out: int, seed: int) -> None:
    x = tensor(kind, (*lead, fan_in), seed)
    site, _ = only_site(nn.Linear(fan_in, fan_out), x)
    rows = x.reshape(-1, fan_in).tolist()
    assert site.dense_macs == site.dense_macs_inside == len(rows) * fan_in * fan_out
    assert site.events == sum(value != 0 for row in rows for value in row for _ in range(fan_out))
    if kind_of(x) != ["real"]:
        assert site.unit_acs == sum(abs(value) for row in rows for value in row) * fan_out
    assert site.maximum == x.max().item()
    assert site.mean_value == pytest.approx(x.double().mean().item(), abs=1e-6)


@MANY
@given(
    kinds=st.tuples(VALUES, VALUES),
    lead=st.lists(st.integers(1, 3), max_size=2),
    n=st.integers(1, 4),
    k=st.integers(1, 4),
    m=st.integers(1, 4),
    written=st.sampled_from(["matmul", "transposed", "einsum", "bmm"]),
    seed=st.integers(0, 10**6),
)
def test_product_of_activations(kinds: tuple[str, str], lead: list[int], n: int, k: int, m: int, written: str, seed: int) -> None:
    a, b = tensor(kinds[0], (*lead, n, k), seed), tensor(kinds[1], (*lead, k, m), seed + 1)
    if written == "bmm":
        a, b = a.reshape(-1, n, k), b.reshape(-1, k, m)
    given_b = b.transpose(-1, -2).contiguous() if written == "transposed" else b
    model = Function(
        {
            "matmul": lambda a, b: a @ b,
            "transposed": lambda a, b: a @ b.transpose(-1, -2),
            "einsum": lambda a, b: torch.einsum("...nk,...km->...nm", a, b),
            "bmm": torch.bmm,
        }[written]
    )
    site, analysis = only_site(model, a, given_b)
    events = left = right = 0
    unit = 0.0
    for x, y in zip(a.reshape(-1, n, k).tolist(), b.reshape(-1, k, m).tolist(), strict=True):
        for i, j, l in product(range(n), range(m), range(k)):  # noqa: E741
            events += x[i][l] != 0 and y[l][j] != 0
            left += x[i][l] != 0
            right += y[l][j] != 0
            unit += abs(x[i][l] * y[l][j])
    assert (site.events, site.events_left, site.events_right) == (events, left, right)
    assert site.input == " x ".join(kind_of(a, b))
    assert site.unit_acs == (None if "real" in site.input else unit)
    assert analysis.total("dense") == site.dense_macs == a.numel() * m


@MANY
@given(
    kinds=st.tuples(VALUES, VALUES),
    shape=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    data=st.data(),
    seed=st.integers(0, 10**6),
)
def test_hadamard_with_broadcasting(kinds: tuple[str, str], shape: list[int], data: st.DataObject, seed: int) -> None:
    narrow = [1 if data.draw(st.booleans()) else n for n in shape]
    a, b = tensor(kinds[0], tuple(shape), seed), tensor(kinds[1], tuple(narrow), seed + 1)
    in_place = data.draw(st.booleans())
    site, _ = only_site(Function((lambda a, b: a.clone().mul_(b)) if in_place else (lambda a, b: a * b)), a, b)
    x, y = a.flatten().tolist(), b.expand(shape).flatten().tolist()
    assert site.dense_macs == len(x)
    assert site.events == sum(p != 0 and q != 0 for p, q in zip(x, y, strict=True))
    assert (site.events_left, site.events_right) == (sum(p != 0 for p in x), sum(q != 0 for q in y))
    if "real" not in site.input:
        assert site.unit_acs == sum(abs(p * q) for p, q in zip(x, y, strict=True))


@settings(max_examples=40, deadline=None)
@given(
    kinds=st.tuples(VALUES, VALUES, VALUES),
    n=st.integers(1, 4),
    d=st.integers(1, 3),
    causal=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_scaled_dot_product_attention(kinds: tuple[str, str, str], n: int, d: int, causal: bool, seed: int) -> None:
    q, k, v = (tensor(kind, (2, 2, n, d), seed + i) for i, kind in enumerate(kinds))
    analysis = count(Function(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=causal)), (q, k, v))
    assert analysis.not_counted == ()
    scores, mixing = [site for site in analysis.sites if site.operation == "matmul"]
    a = (q @ k.transpose(-1, -2)) / d**0.5
    if causal:
        a = a.masked_fill(torch.ones(n, n).triu(1).bool(), float("-inf"))
    a = a.softmax(-1)
    pairs = [(b, h, i, j, c) for b, h, i, j, c in product(range(2), range(2), range(n), range(n), range(d))]
    assert scores.events == sum(q[b, h, i, c] != 0 and k[b, h, j, c] != 0 for b, h, i, j, c in pairs)
    assert mixing.events == sum(a[b, h, i, j] != 0 and v[b, h, j, c] != 0 for b, h, i, j, c in pairs)
    assert scores.dense_macs == mixing.dense_macs == 4 * n * n * d
