"""The Spikformer-4-384 of the official code (CIFAR layout, restated from its equations), counted by us and by other tools."""

from __future__ import annotations

import logging

import pytest
import torch
from spikingjelly.activation_based import functional, op_counter
from spikingjelly.activation_based.neuron import LIFNode
from torch import Tensor, nn
from torch.nn import functional as F

from spikebench.activity import ActivityAnalysis, count
from spikebench.derived.conventions import CONVENTIONS, WHY

T, D, HEADS, N = 4, 384, 12, 64


def lif(v_threshold: float = 1.0) -> LIFNode:
    return LIFNode(tau=2.0, v_threshold=v_threshold, detach_reset=True, step_mode="m")


class Stem(nn.Module):
    """Four 3x3 conv-BN-LIF stages, max-pool after the LIF of the last two, and a relative position convolution."""

    def __init__(self) -> None:
        super().__init__()
        widths = [3, D // 8, D // 4, D // 2, D]
        for i in range(4):
            setattr(self, f"proj_conv{i}", nn.Conv2d(widths[i], widths[i + 1], 3, padding=1, bias=False))
            setattr(self, f"proj_bn{i}", nn.BatchNorm2d(widths[i + 1]))
            setattr(self, f"proj_lif{i}", lif())
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.rpe_conv, self.rpe_bn, self.rpe_lif = nn.Conv2d(D, D, 3, padding=1, bias=False), nn.BatchNorm2d(D), lif()

    def forward(self, x: Tensor) -> Tensor:
        steps, batch = x.shape[:2]
        for i in range(4):
            x = getattr(self, f"proj_bn{i}")(getattr(self, f"proj_conv{i}")(x.flatten(0, 1)))
            x = getattr(self, f"proj_lif{i}")(x.view(steps, batch, *x.shape[1:]))
            if i > 1:
                x = self.maxpool(x.flatten(0, 1))
                x = x.view(steps, batch, *x.shape[1:])
        r = self.rpe_bn(self.rpe_conv(x.flatten(0, 1))).view_as(x)
        return (self.rpe_lif(r) + x).flatten(-2).transpose(-1, -2)


class LinearBN(nn.Module):
    """x (T, B, N, D): linear with bias, then BatchNorm over channels."""

    def __init__(self, fan_in: int, fan_out: int, v_threshold: float = 1.0) -> None:
        super().__init__()
        self.linear, self.bn, self.lif = nn.Linear(fan_in, fan_out), nn.BatchNorm1d(fan_out), lif(v_threshold)

    def forward(self, x: Tensor) -> Tensor:
        steps, batch, tokens = x.shape[:3]
        y = self.linear(x.flatten(0, 1))
        y = self.bn(y.transpose(-1, -2)).transpose(-1, -2).reshape(steps, batch, tokens, -1).contiguous()
        return self.lif(y)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.proj = (LinearBN(D, D) for _ in range(4))
        self.fc1, self.fc2 = LinearBN(D, 4 * D), LinearBN(4 * D, D)
        self.attn_lif = lif(0.5)

    def forward(self, x: Tensor) -> Tensor:
        steps, batch, tokens, _ = x.shape
        q, k, v = (f(x).reshape(steps, batch, tokens, HEADS, -1).permute(0, 1, 3, 2, 4) for f in (self.q, self.k, self.v))
        attn = (q @ k.transpose(-2, -1)) @ v * 0.125
        attn = attn.transpose(2, 3).reshape(steps, batch, tokens, -1).contiguous()
        x = x + self.proj(self.attn_lif(attn))
        return x + self.fc2(self.fc1(x))


class Spikformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = Stem()
        self.block = nn.ModuleList(Block() for _ in range(4))
        self.head = nn.Linear(D, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x.unsqueeze(0).repeat(T, 1, 1, 1, 1))
        for block in self.block:
            x = block(x)
        return self.head(x.mean(2).mean(0))


@pytest.fixture(scope="module")
def official() -> tuple[Spikformer, Tensor]:
    """BatchNorm is calibrated on one batch, else a network of random weights is silent."""
    torch.manual_seed(0)
    model = Spikformer()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
            nn.init.constant_(module.bias, 0.3)
    smooth = F.interpolate(torch.randn(4, 3, 8, 8), size=32, mode="bilinear")
    with torch.no_grad():
        model.train()(smooth)
    functional.reset_net(model)
    return model.eval(), smooth[:1]


@pytest.fixture(scope="module")
def ours(official: tuple[Spikformer, Tensor]) -> ActivityAnalysis:
    return count(*official)


def test_parameters_are_the_published_ones(official: tuple[Spikformer, Tensor]) -> None:
    # 9,330,874 in the official code, whose blocks allocate two LayerNorms that they never use: 4 D a block.
    assert sum(p.numel() for p in official[0].parameters()) == 9_330_874 - 4 * 4 * D == 9_324_730


def test_dense_macs_with_and_without_padding(ours: ActivityAnalysis) -> None:
    assert ours.not_counted == ()
    assert ours.total("dense") == sum(site.dense_macs for site in ours.sites) == 3_736_145_664
    assert sum(site.dense_macs_inside for site in ours.sites) == 3_591_198_720


def test_groups_of_layers(ours: ActivityAnalysis) -> None:
    """The table in references.md 7: which layers see what, and what they cost densely."""
    table = ours.to_pandas()
    table = table[table.dense_macs > 0]
    dense = table.groupby(["operation", "input"]).dense_macs.sum().to_dict()
    assert dense[("conv2d", "real")] == 5_308_416
    assert dense[("linear", "integer")] == 1_056_964_608
    assert dense[("conv2d", "binary")] + dense[("linear", "binary")] == 2_623_537_152
    assert dense[("matmul", "binary x binary")] == dense[("matmul", "integer x binary")] == 25_165_824
    assert dense[("linear", "real")] == 3_840
    integers = table[(table.operation == "linear") & (table.input == "integer")]
    assert (integers.unit_acs > integers.events).all()
    assert (table.known_by == "observed").all()


def test_fvcore_adds_batch_norm(official: tuple[Spikformer, Tensor], ours: ActivityAnalysis) -> None:
    from fvcore.nn import FlopCountAnalysis

    model, x = official
    logging.getLogger("fvcore").setLevel(logging.ERROR)
    functional.reset_net(model)
    found = FlopCountAnalysis(model, x).unsupported_ops_warnings(False).by_operator()
    functional.reset_net(model)
    assert sum(found[name] for name in ("conv", "linear", "matmul")) == ours.total("dense")
    assert found["batch_norm"] == ours.other_ops()["batch_norm"] == 10_813_440
    assert sum(found[name] for name in ("conv", "linear", "matmul", "batch_norm")) == 3_746_959_104


def test_flop_counter_mode_is_twice_ours(official: tuple[Spikformer, Tensor], ours: ActivityAnalysis) -> None:
    from torch.utils.flop_counter import FlopCounterMode

    model, x = official
    with torch.no_grad(), FlopCounterMode(display=False) as flops:
        model(x)
    functional.reset_net(model)
    assert flops.get_total_flops() == 2 * 3_736_145_664 == 2 * ours.total("dense")


def test_spikingjelly_reports_what_its_convention_says(official: tuple[Spikformer, Tensor], ours: ActivityAnalysis) -> None:
    model, x = official
    neurons = [LIFNode]
    synops, macs = op_counter.SynOpCounter(extra_ignore_modules=neurons), op_counter.MACCounter(extra_ignore_modules=neurons)
    with torch.no_grad(), op_counter.DispatchCounterMode([synops, macs]):
        model(x)
    functional.reset_net(model)
    mac, ac = ours.macs_and_acs("spikingjelly")
    assert (mac, ac) == (macs.get_total(), synops.get_total())
    # Its MACs: the first convolution, the head and every linear fed by the residual stream densely, BatchNorm once an element.
    assert mac == 5_308_416 + 3_840 + 1_056_964_608 + 10_813_440 // 2 == 1_067_683_584


def syops(model: nn.Module, x: Tensor) -> tuple[float, float]:
    """syops-counter 0.0.5 restated (it does not import beside SpikingJelly 2): forward hooks on modules, whole-tensor spike
    test.
    """
    totals = {"ac": 0.0, "mac": 0.0}

    def binary(x: Tensor) -> bool:
        return bool(((x == 0) | (x == 1)).all())

    def hook(module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        x = args[0]
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            dense = out.numel() * module.weight[0].numel()
            totals["ac" if binary(x) else "mac"] += dense * (x.double().mean().item() if binary(x) else 1.0)
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            totals["mac"] += 2 * x.numel()
        elif isinstance(module, (LIFNode, nn.MaxPool2d)):
            totals["ac"] += x.numel()

    handles = [module.register_forward_hook(hook) for module in model.modules()]
    with torch.no_grad():
        model(x)
    functional.reset_net(model)
    for handle in handles:
        handle.remove()
    return totals["mac"], totals["ac"]


def test_syops(official: tuple[Spikformer, Tensor], ours: ActivityAnalysis) -> None:
    mac, ac = syops(*official)
    found = ours.macs_and_acs("syops")
    assert found == pytest.approx((mac, ac), rel=1e-9)
    assert mac == 5_308_416 + 3_840 + 1_056_964_608 + 10_813_440 == 1_073_090_304  # 1,073.1 M in references.md 7


def neurobench(model: nn.Module, x: Tensor) -> tuple[int, int]:
    """NeuroBench 2.3 restated: the layer run on its input's and weights' nonzero maps; ternary input makes ACs, other input
    MACs.
    """
    totals = {"ac": 0.0, "mac": 0.0}

    def hook(module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        x = args[0]
        ones = torch.ones_like(module.weight, dtype=torch.float64)
        map_ = (x != 0).double()
        run = F.conv2d(map_, ones, None, module.stride, module.padding) if isinstance(module, nn.Conv2d) else F.linear(map_, ones)
        spikes = bool(torch.isin(x, torch.tensor([-1.0, 0.0, 1.0])).all())
        totals["ac" if spikes else "mac"] += run.sum().item()

    handles = [m.register_forward_hook(hook) for m in model.modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    with torch.no_grad():
        model(x)
    functional.reset_net(model)
    for handle in handles:
        handle.remove()
    return int(totals["mac"]), int(totals["ac"])


def test_neurobench(official: tuple[Spikformer, Tensor], ours: ActivityAnalysis) -> None:
    assert ours.macs_and_acs("neurobench") == neurobench(*official)


def test_script_of_the_spikingformer_authors(ours: ActivityAnalysis) -> None:
    """Only convolutions and the head by name, and T H N d^2 (min(fr_k, fr_v) + fr_q) for each block."""
    table = ours.to_pandas()
    convolutions = table[table.operation == "conv2d"]
    expected = (convolutions.dense_macs * convolutions.nonzero_fraction)[convolutions.input == "binary"].sum()
    d = D // HEADS
    for _, block in table[table.operation == "matmul"].groupby("scope"):
        scores, mixing = block.iloc[0], block.iloc[1]
        rate_q, rate_k, rate_v = (
            scores.events_left / scores.dense_macs,
            scores.events_right / scores.dense_macs,
            mixing.events_right / mixing.dense_macs,
        )
        expected += T * HEADS * N * d * d * (min(rate_k, rate_v) + rate_q)
    mac, ac = ours.macs_and_acs("spikingformer-script")
    assert ac == pytest.approx(expected)
    assert mac == 5_308_416 + 3_840


def test_options_of_conventions(ours: ActivityAnalysis) -> None:
    once = ours.total("dense") - ours.total("dense", first_convolution="once")
    assert once == 5_308_416 * 3 // 4
    assert ours.total("dense", head="every_step") - ours.total("dense") == 3 * 3_840
    assert ours.total("dense", batch_norm="two") - ours.total("dense") == 10_813_440
    left, both = ours.total("events", products="left"), ours.total("events")
    assert left > both > ours.total("events", products="none")
    assert ours.total("unit") > both
    assert ours.total("events", integers="mac_dense") > ours.total("events", integers="mac_events") == both
    assert set(WHY) == set(CONVENTIONS)


def test_the_same_pass_spans_a_factor_of_tools(ours: ActivityAnalysis) -> None:
    """Under the same 4.6 and 0.9 pJ tools differ by more than ten, and in the order that references.md 7 lists."""

    def millijoules(convention: str, **options: object) -> float:
        mac, ac = ours.macs_and_acs(convention, **options)
        return (4.6 * mac + 0.9 * ac) * 1e-9

    figures = [
        millijoules("spikingformer-script"),
        millijoules("events", real="dense", first_convolution="once"),
        millijoules("events", real="dense"),
        millijoules("unit", real="dense"),
        millijoules("neurobench"),
        millijoules("spikingjelly"),
        millijoules("dense"),
    ]
    assert figures == sorted(figures)
    assert figures[-1] > 10 * figures[0]
    assert figures[-1] == pytest.approx(17.186, abs=0.001)
