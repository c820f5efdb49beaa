"""What rules promise of values: every operation that keeps a declaration, with every option that changes values, against what
its output really holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebench.activity import ActivityObserver, count, elementwise, moves
from spikebench.activity.recorder import RULES
from spikebench.core.values import Values, declare

aten = torch.ops.aten
I = torch.tensor([0, 0, 1])  # noqa: E741 (two sources for one target)
IJ = I[:, None].expand(3, 4)
M = torch.tensor([[True, False, True, True]] * 3)
HALF, BF16, LONG, BYTE, BOOL = torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool


def Z(*shape: int) -> Tensor:  # noqa: N802 (a constant, but one made in the pass)
    return torch.zeros(*(shape or (3, 4)))


def image(s: Tensor) -> Tensor:
    return s.reshape(1, 1, 3, 4)


Call = Callable[[Tensor], Any]
CALLS: dict[str, list[Call]] = {
    "cat": [
        lambda s: torch.cat([s, s]),
        lambda s: torch.cat([s, Z()]),
        lambda s: torch.cat([s, torch.ones(3, 4) * 7]),
        lambda s: torch.cat([s, torch.full((3, 4), 9)]),
        lambda s: torch.cat([s.half(), s]),
        lambda s: torch.cat([s, s * 0.3]),
    ],
    "stack": [lambda s: torch.stack([s, s]), lambda s: torch.stack([s, s * 2])],
    "where": [
        lambda s: torch.where(M, s, Z()),
        lambda s: torch.where(M, s, 0.0),
        lambda s: torch.where(M, s, 5.0),
        lambda s: torch.where(M, s, s + s),
        lambda s: torch.where(M, 0.25, s),
        lambda s: torch.where(s != 0),
        lambda s: torch.where(M, s, torch.full((3, 4), 9)),
    ],
    "index": [lambda s: s[I], lambda s: s[M], lambda s: s.long()[I], lambda s: torch.arange(9)[s.abs().long()]],
    "index_select": [lambda s: s.index_select(0, I)],
    "gather": [lambda s: s.gather(0, IJ), lambda s: torch.take_along_dim(s, IJ, 0)],
    "take": [lambda s: s.take(I)],
    "masked_select": [lambda s: s.masked_select(M)],
    "embedding": [lambda s: F.embedding(I, s), lambda s: F.embedding(s.abs().long(), torch.randn(9, 2))],
    "repeat": [lambda s: s.repeat(2, 1)],
    "repeat_interleave": [
        lambda s: s.repeat_interleave(2, 0),
        lambda s: torch.repeat_interleave(s.abs().long().flatten()),
        lambda s: s.repeat_interleave(torch.tensor([1, 2, 3]), 0),
    ],
    "roll": [lambda s: s.roll(1)],
    "flip": [lambda s: s.flip(0)],
    "rot90": [lambda s: torch.rot90(s)],
    "tril": [torch.tril, lambda s: s.tril_()],
    "triu": [torch.triu, lambda s: s.triu_()],
    "sort": [torch.sort, lambda s: s.sort(stable=True)[1], lambda s: s.long().sort()[1]],
    "topk": [lambda s: s.topk(2), lambda s: s.long().topk(2)[1]],
    "kthvalue": [lambda s: s.kthvalue(2)],
    "mode": [torch.mode],
    "block_diag": [lambda s: torch.block_diag(s, s)],
    "diag_embed": [torch.diag_embed],
    "pixel_shuffle": [lambda s: F.pixel_shuffle(s.reshape(1, 4, 3, 1), 2)],
    "pixel_unshuffle": [lambda s: F.pixel_unshuffle(s.reshape(1, 1, 2, 6), 2)],
    "channel_shuffle": [lambda s: F.channel_shuffle(s.reshape(1, 4, 3, 1), 2)],
    "im2col": [lambda s: F.unfold(image(s), 2, padding=1)],
    "upsample_nearest1d": [lambda s: F.interpolate(s[None], 7)],
    "upsample_nearest2d": [lambda s: F.interpolate(image(s), 7)],
    "upsample_nearest3d": [lambda s: F.interpolate(image(s)[None], 7)],
    "_upsample_nearest_exact1d": [lambda s: F.interpolate(s[None], 7, mode="nearest-exact")],
    "_upsample_nearest_exact2d": [lambda s: F.interpolate(image(s), 7, mode="nearest-exact")],
    "_upsample_nearest_exact3d": [lambda s: F.interpolate(image(s)[None], 7, mode="nearest-exact")],
    "reflection_pad1d": [lambda s: F.pad(s, (1, 1), "reflect")],
    "reflection_pad2d": [lambda s: F.pad(image(s), (1, 1, 1, 1), "reflect")],
    "reflection_pad3d": [lambda s: F.pad(s.reshape(1, 1, 3, 2, 2), (1, 1, 1, 1, 1, 1), "reflect")],
    "replication_pad1d": [lambda s: F.pad(s, (1, 1), "replicate")],
    "replication_pad2d": [lambda s: F.pad(image(s), (1, 1, 1, 1), "replicate")],
    "replication_pad3d": [lambda s: F.pad(s.reshape(1, 1, 3, 2, 2), (1, 1, 1, 1, 1, 1), "replicate")],
    "max_unpool2d": [lambda s: F.max_unpool2d(*F.max_pool2d(s.reshape(1, 1, 2, 6), 2, return_indices=True), 2)],
    "max_unpool3d": [lambda s: F.max_unpool3d(*F.max_pool3d(s.reshape(1, 1, 2, 2, 3)[..., :2], 2, return_indices=True), 2)],
    "_reshape_copy": [lambda s: aten._reshape_copy(s, [12])],
    "unfold_copy": [lambda s: torch.unfold_copy(s, 1, 2, 1)],
    "permute_copy": [lambda s: torch.permute_copy(s, (1, 0))],
    "view_copy": [lambda s: torch.view_copy(s, (12,))],
    "expand_copy": [lambda s: torch.expand_copy(s, (2, 3, 4))],
    "transpose_copy": [lambda s: torch.transpose_copy(s, 0, 1)],
    "squeeze_copy": [torch.squeeze_copy],
    "unsqueeze_copy": [lambda s: torch.unsqueeze_copy(s, 0)],
    "slice_copy": [lambda s: torch.slice_copy(s, 0, 1)],
    "select_copy": [lambda s: torch.select_copy(s, 0, 1)],
    "split_copy": [lambda s: torch.split_copy(s, 1)],
    "split_with_sizes_copy": [lambda s: torch.split_with_sizes_copy(s, [1, 2])],
    "t_copy": [torch.t_copy],
    "alias_copy": [torch.alias_copy],
    "detach_copy": [torch.detach_copy],
    "as_strided_copy": [lambda s: torch.as_strided_copy(s, (2,), (1,))],
    "diagonal_copy": [torch.diagonal_copy],
    "unbind_copy": [torch.unbind_copy],
    "slice_scatter": [
        lambda s: Z().slice_scatter(s[:1], 0, 1, 2),
        lambda s: torch.ones(3, 4).mul(7).slice_scatter(s[:1], 0, 1, 2),
    ],
    "select_scatter": [lambda s: s.select_scatter(s[0] * 2, 0, 1), lambda s: Z().select_scatter(s[0], 0, 1)],
    "diagonal_scatter": [lambda s: s.diagonal_scatter(s[0, :3]), lambda s: s.diagonal_scatter(torch.rand(3))],
    "as_strided_scatter": [lambda s: s.as_strided_scatter(torch.rand(2), (2,), (1,))],
    "masked_scatter": [
        lambda s: s.masked_scatter(M, s),
        lambda s: s.masked_scatter(M, torch.rand(3, 4)),
        lambda s: Z().masked_scatter_(M, s),
    ],
    "index_copy": [lambda s: Z().index_copy(0, I, s), lambda s: s.index_copy_(0, I, torch.rand(3, 4))],
    "index_fill": [
        lambda s: s.index_fill(0, I, 0),
        lambda s: s.index_fill(0, I, 0.3),
        lambda s: s.index_fill_(0, I, torch.tensor(0.3)),
    ],
    "scatter": [
        lambda s: Z().scatter(0, IJ, s),
        lambda s: s.scatter(0, IJ, s * 2),
        lambda s: s.scatter(0, IJ, 0.3),
        lambda s: s.scatter(0, IJ, 0),
        lambda s: s.scatter(0, IJ, s, reduce="add"),
        lambda s: Z().scatter_(0, IJ, s, reduce="add"),
        lambda s: s.scatter(0, IJ, s, reduce="multiply"),
        lambda s: s.scatter(0, IJ, 0.3, reduce="add"),
        lambda s: s.scatter(0, IJ, 3, reduce="multiply"),
    ],
    "scatter_add": [
        lambda s: Z().scatter_add(0, IJ, s),
        lambda s: s.scatter_add_(0, IJ, s * 3),
        lambda s: s.scatter_add(0, IJ, s),
    ],
    "scatter_reduce": [lambda s, r=r: s.scatter_reduce(0, IJ, s, r) for r in ("sum", "prod", "mean", "amax", "amin")],
    "index_reduce": [lambda s, r=r: s.index_reduce(0, I, s, r) for r in ("prod", "mean", "amax", "amin")],
    "index_add": [
        lambda s: Z().index_add(0, I, s),
        lambda s: s.index_add_(0, I, s.clone(), alpha=2.5),
        lambda s: s.index_add(0, I, s),
    ],
    "index_put": [
        lambda s: Z().index_put_((I,), s),
        lambda s: Z().index_put_((I,), s, accumulate=True),
        lambda s: s.index_put((I,), s[:1] * 3, True),
        lambda s: s.index_put((I,), torch.tensor(0.3)),
    ],
    "_index_put_impl": [lambda s: aten._index_put_impl_(Z(), [I], s, True), lambda s: aten._index_put_impl_(Z(), [I], s)],
    "_unsafe_index_put": [lambda s: aten._unsafe_index_put(s, [I], s, True), lambda s: aten._unsafe_index_put(s, [I], s)],
    "put": [lambda s: s.put(I, s[0, :3]), lambda s: s.put(I, s[0, :3], accumulate=True), lambda s: s.put_(I, torch.rand(3))],
    "native_dropout": [lambda s, t=t, p=p: torch.native_dropout(s, p, t) for t in (True, False, None) for p in (0.0, 0.5, 1.0)],
    "clone": [torch.clone],
    "contiguous": [lambda s: s.t().contiguous()],
    "_to_copy": [
        *[lambda s, d=d: s.to(d) for d in (HALF, BF16, torch.float64, LONG, BYTE, torch.int8, BOOL)],
        lambda s: s.bool().float(),
        lambda s: s.long().float(),
        lambda s: (s / 3).half().float(),
        lambda s: (s * 300).to(torch.int8),
        lambda s: (s * 1e6).half(),
        lambda s: (s * 1e-9).half(),
        lambda s: (s * 0.1).to(BF16),
    ],
    "constant_pad_nd": [lambda s: F.pad(s, (1, 1)), lambda s: F.pad(s, (1, 1), value=0.3), lambda s: F.pad(s, (-1, 0))],
    "masked_fill": [
        lambda s: s.masked_fill(M, 0),
        lambda s: s.masked_fill(M, 0.3),
        lambda s: s.masked_fill_(M, torch.tensor(0.3)),
    ],
    "copy_": [
        lambda s: Z().copy_(s),
        lambda s: torch.zeros(3, 4, dtype=LONG).copy_(s),
        lambda s: torch.rand(3, 4).copy_(s),
        lambda s: torch.zeros(3, 4, dtype=BOOL).copy_(s),
        lambda s: part(s, torch.rand(3, 4)),
    ],
    "bernoulli": [
        lambda s: torch.bernoulli(s.bool().float()),
        lambda s: s.bernoulli(0.5),
        lambda s: Z().bernoulli_(s.bool().float()),
    ],
    "normal": [lambda s: torch.normal(s, 1.0), lambda s: s.normal_()],
    "relu": [torch.relu, lambda s: s.relu_()],
    "maximum": [lambda s: torch.maximum(s, s), lambda s: torch.maximum(s, s * 3), lambda s: torch.maximum(s, torch.rand(3, 4))],
    "minimum": [lambda s: torch.minimum(s, s.flip(0)), lambda s: torch.minimum(s, torch.rand(3, 4))],
    "sign": [torch.sign, lambda s: torch.sign(s * 0.5), lambda s: torch.sign(s - s.flip(0)), lambda s: s.sign_()],
    "sgn": [torch.sgn, lambda s: torch.sgn(s * -0.5), lambda s: s.mul(0.3).sgn_()],
    "abs": [torch.abs, lambda s: torch.abs(s * -0.5)],
    "neg": [torch.neg, lambda s: s.neg_()],
    "add": [
        lambda s: s + s,
        lambda s: torch.add(s, s, alpha=2.5),
        lambda s: torch.add(s, s, alpha=-1),
        lambda s: s + s * 0.3,
        lambda s: s + 1,
        lambda s: s.add_(s, alpha=0.5),
        lambda s: s.half() + s,
        lambda s: s.bool() + s.bool(),
        lambda s: (s / 3).half() + (s / 3).half(),
    ],
    "sub": [lambda s: s - s.flip(0), lambda s: torch.sub(s, s, alpha=2.5), lambda s: 1 - s],
    "mul": [
        lambda s: s * s,
        lambda s: s * 0.3,
        lambda s: s * float("nan"),
        lambda s: s * float("inf"),
        lambda s: s * 1e-46,
        lambda s: s.mul_(0),
        lambda s: s.mul_(s),
        lambda s: s * torch.tensor(0.3),
        lambda s: s * 0.1 * 0.3,
        lambda s: s.long() * 0.5,
        lambda s: s.half() * 0.1 * 0.3,
        lambda s: torch.mul(s, s, out=s),
    ],
    "div": [
        lambda s: s / 3,
        lambda s: s / 3 / 7,
        lambda s: torch.div(s, 2, rounding_mode="floor"),
        lambda s: s.long() / 3,
        lambda s: torch.div(s, 0.3, rounding_mode="trunc"),
        lambda s: s / 0,
        lambda s: s / float("inf"),
        lambda s: s / (s + 2),
        lambda s: 1 / (s + 9),
        lambda s: (s * 5 / 3).half(),
        lambda s: ((s + s) / 3).to(BF16),
    ],
    "sum": [
        torch.sum,
        lambda s: s.sum(0),
        lambda s: s.sum(0, dtype=LONG),
        lambda s: (s / 3).sum(0, dtype=HALF),
        lambda s: s.bool().sum(0),
        lambda s: s.sum(0, dtype=torch.float64),
    ],
    "max_pool2d_with_indices": [
        lambda s: F.max_pool2d(image(s), 2, 1, 1, return_indices=True),
        lambda s: F.max_pool2d(image(s), 2),
    ],
    "max_pool3d_with_indices": [lambda s: F.max_pool3d(s.reshape(1, 1, 3, 2, 2), 2, 1, 1, return_indices=True)],
    "max_pool2d": [lambda s: aten.max_pool2d(image(s), [2, 2], [1, 1], [1, 1])],
    "fractional_max_pool2d": [lambda s: F.fractional_max_pool2d(image(s), 2, output_size=(2, 2), return_indices=True)],
    "fractional_max_pool3d": [lambda s: F.fractional_max_pool3d(s.reshape(1, 1, 3, 2, 2), (2, 1, 1), output_size=(1, 1, 1))],
    "_pack_padded_sequence": [lambda s: torch.nn.utils.rnn.pack_padded_sequence(s[..., None], [3, 2, 1, 1]).data],
    "addcmul": [
        lambda s: torch.addcmul(s, s, s),
        lambda s: torch.addcmul(s, s, s, value=0.3),
        lambda s: s.clone().addcmul_(s, torch.full((3, 4), 0.5), value=2),
    ],
    "lerp": [lambda s: torch.lerp(s, s.flip(0), 0.5), lambda s: torch.lerp(s, s.flip(0), torch.full((3, 4), 0.3))],
}
CALLS |= {
    n: [lambda s, n=n: getattr(torch, n)(s, 0.3), lambda s, n=n: getattr(s.clone(), f"{n}_")(0.3)]
    for n in ("eq", "ne", "gt", "ge", "lt", "le")
}
CALLS |= {
    n: [lambda s, n=n: getattr(torch, n)(s, s), lambda s, n=n: getattr(s.clone(), f"{n}_")(s)]
    for n in ("logical_and", "logical_or", "logical_xor")
}
CALLS |= {n: [getattr(torch, n)] for n in ("isnan", "isinf", "isfinite", "isposinf", "isneginf", "logical_not", "any", "all")}
CALLS["isin"] = [lambda s: torch.isin(s, torch.tensor([1.0]))]
CALLS["any"] += [lambda s: s.any(0), lambda s: s.to(BYTE).any(0)]


def part(s: Tensor, target: Tensor) -> Tensor:
    """Writes into a part of what holds other numbers."""
    target[1].copy_(s[1])
    return target


PROMISE_NOTHING = (moves.positions, moves.reading, moves.unwritten, moves.zeros, moves.constant, moves.noise, moves.fresh)


def test_every_operation_whose_rule_promises_something_is_tried() -> None:
    arithmetic = elementwise.arithmetic("x").__code__
    promising = {
        packet._qualified_op_name.removeprefix("aten::")
        for packet, rule in {**moves.RULES, **elementwise.RULES}.items()
        if rule not in PROMISE_NOTHING and rule.__code__ is not arithmetic
    }
    assert {name if name in CALLS else name.removesuffix("_") for name in promising} <= set(CALLS)
    assert all(hasattr(aten, name) or hasattr(aten, f"{name}_") for name in CALLS)
    assert RULES[aten.add] is elementwise.add


INPUTS = [Values("binary"), Values("binary", 0.5), Values("binary", -1.5), Values("binary", 1 / 3), Values("binary", 8.0)]
INPUTS += [Values("integer"), Values("integer", 0.125), Values("integer", 1 / 3)]


def spikes(values: Values) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    low, high = (0, 2) if values.kind == "binary" else (-3, 9)
    return torch.randint(low, high, (3, 4), generator=generator) * torch.tensor(values.scale)


def holds(x: Tensor, values: Values) -> bool:
    """Whether x is what was promised, up to the rounding of its format."""
    if values.kind == "real":
        return True
    units = x.double() / values.scale
    slack = 1e-3 if not x.is_floating_point() else max(1e-3, 16 * torch.finfo(x.dtype).eps)
    whole = units.round()
    return bool(((units - whole).abs() <= slack * whole.abs().clamp(min=1)).all()) and (
        values.kind != "binary" or bool(((whole == 0) | (whole == 1)).all())
    )


class Promised(nn.Module):
    """Runs one call and looks at what the counter then believes of every tensor that came out."""

    def __init__(self, call: Call, values: Values) -> None:
        super().__init__()
        self.call, self.values = call, values
        self.observer = ActivityObserver(self)
        self.found: list[tuple[Tensor, Values | None]] = []

    def forward(self, x: Tensor) -> Tensor:
        out = self.call(declare(x.clone(), self.values))
        self.found = [(tensor, self.observer._recorder.tracker.values(tensor)) for tensor in moves.tensors_in((out,))]
        return x


@pytest.mark.parametrize("name", CALLS)
def test_promises_are_kept(name: str) -> None:
    for index, call in enumerate(CALLS[name]):
        for values in INPUTS:
            model = Promised(call, values)
            with torch.no_grad(), model.observer:
                model(spikes(values))
            assert model.found
            assert model.observer.analysis.not_counted == ()
            for tensor, known in model.found:
                assert known is None or holds(tensor, known), (index, values, known, tensor)


@pytest.mark.parametrize("name", [name for name in CALLS if name not in ("bernoulli", "normal")])
def test_whoever_reads_the_result_believes_the_same(name: str) -> None:
    """No WrongDeclarationError, and the events are the nonzero elements that a layer reads."""
    for call in CALLS[name]:
        for values in INPUTS:
            seen: list[int] = []

            def forward(x: Tensor, call: Call = call, values: Values = values, seen: list[int] = seen) -> None:
                for out in moves.tensors_in((call(declare(x.clone(), values)),)):
                    rows = out.float().reshape(-1, 1)
                    seen.append(int((rows != 0).sum()))
                    F.linear(rows, torch.ones(2, 1))

            found = count(Function(forward), spikes(values))
            assert sum(site.events for site in found.sites if site.operation == "linear") == 2 * sum(seen)


class Function(nn.Module):
    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (lambda s: Z().index_put_((I,), s, accumulate=True), "integer"),
        (lambda s: Z().scatter(0, IJ, s, reduce="add"), "integer"),
        (lambda s: Z().scatter_add_(0, IJ, s), "integer"),
        (lambda s: Z().index_add(0, I, s), "integer"),
        (lambda s: torch.sgn(s * 0.5), "binary"),
        (lambda s: (s * 0.125).bool().float(), "binary"),
        (lambda s: (s * 5 / 3).half().float(), "binary"),
        (lambda s: s * 0.1 * 0.3, "binary"),
        (lambda s: s.topk(2)[0], "binary"),
    ],
)
def test_what_stays_known(step: Call, kind: str) -> None:
    found = count(
        Function(
            lambda x: F.linear(step(declare(x.clone(), Values("binary"))), torch.ones(2, 1).expand(2, 4)[:, : step(x).shape[1]])
        ),
        torch.ones(3, 4),
    )
    (site,) = [site for site in found.sites if site.synaptic]
    assert (site.input, site.known_by) == (kind, "declared")


def test_zeros_written_into_a_part_leave_the_rest() -> None:
    """A buffer of real numbers of which one row is set to zero is not empty."""

    def forward(x: Tensor) -> Tensor:
        buffer = x * 0.3 + 0.1
        buffer[0].zero_()
        return F.linear(torch.cat([buffer, declare((x > 0).float(), Values("binary"))]), torch.ones(2, 4))

    site = count(Function(forward), torch.rand(3, 4) + 0.1).sites[-1]
    assert (site.input, site.events) == ("real", 2 * (8 + 12))


def square_(x: Tensor) -> Tensor:
    y = x.clone()
    return y.mul_(y)


def test_squares_in_place_are_sized_by_what_was_there() -> None:
    for square in (square_, lambda x: torch.mul(y := x.clone(), x, out=y)):
        found = count(Function(square), torch.full((2, 3), 3.0))
        assert [site.unit_acs for site in found.sites if site.synaptic] == [6 * 9]
