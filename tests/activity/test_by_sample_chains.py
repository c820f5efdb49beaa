"""Counts by sample of whatever operations one after another: those of each sample alone, or None."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from spikebench.activity import count

Step = Callable[[Tensor, Tensor, int, int], Tensor]
"""(weight, x, an axis of x, another) -> the next x; x itself where its shape does not fit."""


def linear(w: Tensor, x: Tensor) -> Tensor:
    return F.linear(x, w[:8, : x.shape[-1]]) if x.shape[-1] <= 24 else x


def written_in_parts(x: Tensor, a: int) -> Tensor:
    out = torch.zeros(x.shape)
    for i in range(x.shape[a]):
        out.select(a, i).copy_(x.select(a, i))
    return out


STEPS: dict[str, Step] = {
    "permute": lambda w, x, a, b: x.movedim(a, b),
    "transpose": lambda w, x, a, b: x.transpose(a, b),
    "flatten": lambda w, x, a, b: x.flatten(min(a, x.dim() - 2), min(a, x.dim() - 2) + 1) if x.dim() > 2 else x,
    "heads": lambda w, x, a, b: x.unflatten(-1, (2, -1)).movedim(-2, a) if x.shape[-1] % 2 == 0 and x.dim() < 5 else x,
    "rows": lambda w, x, a, b: x.reshape(-1, x.shape[-1]),
    "columns": lambda w, x, a, b: x.reshape(x.shape[0], -1),
    "clone": lambda w, x, a, b: x.contiguous().clone(),
    "in place": lambda w, x, a, b: x.clone().mul_(x),
    "where": lambda w, x, a, b: torch.where(x > 0, x, x * 0.5),
    "roll": lambda w, x, a, b: x + x.roll(1, a),
    "flip": lambda w, x, a, b: x * x.flip(a),
    "softmax": lambda w, x, a, b: x.softmax(a),
    "cumsum": lambda w, x, a, b: x.cumsum(a),
    "sort": lambda w, x, a, b: x.sort(a)[0],
    "mean": lambda w, x, a, b: x.mean(a) if x.dim() > 2 else x,
    "amax": lambda w, x, a, b: x * x.amax(a, keepdim=True),
    "select": lambda w, x, a, b: x.select(a, 0) if x.dim() > 2 else x,
    "narrow": lambda w, x, a, b: x.narrow(a, 0, max(1, x.shape[a] - 1)),
    "every other": lambda w, x, a, b: x.movedim(a, 0)[::2].movedim(0, a),
    "index": lambda w, x, a, b: x.index_select(a, torch.tensor([0])),
    "cat": lambda w, x, a, b: torch.cat([x, x * 2], a),
    "stack": lambda w, x, a, b: torch.stack([x, x * 2], a) if x.dim() < 5 else x,
    "reversed": lambda w, x, a, b: torch.cat(x.unbind(a)[::-1], 0) if x.dim() > 2 else x,
    "restacked": lambda w, x, a, b: torch.stack(x.unbind(a), b),
    "loop": lambda w, x, a, b: torch.stack([linear(w, one) for one in x.unbind(a)], b) if x.dim() > 2 else x,
    "buffer": lambda w, x, a, b: written_in_parts(x, a),
    "pad": lambda w, x, a, b: F.pad(x, (0, 0) * (x.dim() - 1 - a) + (1, 0)),
    "repeat": lambda w, x, a, b: x.repeat(*(2 if axis == a else 1 for axis in range(x.dim()))),
    "expand": lambda w, x, a, b: x.unsqueeze(a).expand(*x.shape[:a], 3, *x.shape[a:]) if x.dim() < 5 else x,
    "linear": lambda w, x, a, b: linear(w, x),
    "weights left": lambda w, x, a, b: w[:8, : x.shape[-2]] @ x if x.shape[-2] <= 24 else x,
    "gram": lambda w, x, a, b: x @ x.transpose(-1, -2),
    "layer norm": lambda w, x, a, b: F.layer_norm(x, x.shape[-1:]),
    "batch norm": lambda w, x, a, b: F.batch_norm(x, torch.zeros(x.shape[1]), torch.ones(x.shape[1])),
    "conv": lambda w, x, a, b: (
        F.conv1d(x, w[:4, : x.shape[1], None].expand(-1, -1, 2), padding=1) if x.dim() == 3 and x.shape[1] <= 24 else x
    ),
    "pool": lambda w, x, a, b: F.max_pool1d(x, 2) if x.dim() == 3 and x.shape[2] > 1 else x,
    "tril": lambda w, x, a, b: x.tril(),
}
fitting: list[object] = []
"""Which steps the last call has left out, and how many axes there were: a network whose shape decides is another one alone."""


class Chain(nn.Module):
    def __init__(self, steps: Sequence[tuple[str, int, int]]) -> None:
        super().__init__()
        self.steps = steps
        self.weight = nn.Parameter(torch.randn(24, 24))

    def forward(self, x: Tensor) -> Tensor:
        fitting.clear()
        for name, a, b in (*self.steps, ("linear", 0, 0)):
            before, x = x, STEPS[name](self.weight, x, a % x.dim(), b % x.dim())
            fitting.append((x is before, x.dim()))
        return x


@settings(max_examples=200, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.integers(0, 3), st.integers(0, 3)), max_size=6),
    sizes=st.sampled_from([(B, L) for B in (2, 3, 4, 8) for L in (1, 2, 3, 4) if B != L]),
    second=st.booleans(),
    seed=st.integers(0, 99),
)
def test_no_chain_of_operations_gives_a_sample_what_another_has(
    steps: list[tuple[str, int, int]], sizes: tuple[int, int], second: bool, seed: int
) -> None:
    """(B, L, 4), or (L, B, 4); sample 1 is all zeros."""
    torch.manual_seed(seed)
    (B, L), axis = sizes, int(second)
    x = torch.rand((L, B, 4) if second else (B, L, 4)).round()
    x.select(axis, 1).zero_()
    model = Chain(steps)
    analysis = count(model, x, samples=B)
    shape, found = list(fitting), analysis.by_sample("events_left")
    expected = []
    for one in x.split(1, axis) if found is not None else ():
        expected.append(sum(site.events_left for site in count(model, one, samples=1).sites))
        if fitting != shape:
            return
    assert found in (None, expected)
