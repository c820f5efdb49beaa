"""Counts by sample and by step: those that each sample has alone, or None, whatever leads the rows and whatever divides them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from spikingjelly.activation_based import functional, layer, neuron
from torch import Tensor, nn
from torch.nn import functional as F

import spikebench
from spikebench.activity import ActivityAnalysis, ActivityObserver, count
from spikebench.activity.sums import COUNTS
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import COMPONENTS, InputSpec, VariantSpec
from spikebench.networks import build, check
from spikebench.networks.neurons import SpikingNeuron

BATCHES = (1, 2, 3, 4, 8)  # that divide, and do not divide, steps, heads, tokens and features
STEPS = (1, 2, 3, 4)


def alone(model: nn.Module, parts: Sequence[Tensor], **told: int) -> list[dict[str, int]]:
    """Column -> count of each sample counted in a call of its own: what ``by_sample`` has to find in one."""
    found = []
    for x in parts:
        functional.reset_net(model)
        analysis = count(model, x, **told)
        row = {column: sum(getattr(site, column) or 0 for site in analysis.sites if site.synaptic) for column in COUNTS}
        found.append({**row, "spikes": sum(layer.spikes for layer in analysis.neuron_layers)})
    return found


def agree(analysis: ActivityAnalysis, expected: Sequence[dict[str, int]]) -> None:
    """Every column is what the samples have alone; ``events_right`` of a linear layer follows from its shape, and may be None."""
    for column in (*COUNTS, "spikes"):
        found = analysis.spikes_by_sample() if column == "spikes" else analysis.by_sample(column)
        if found is not None or column != "events_right":
            assert found == [row[column] for row in expected], column


# our own networks, all of them

INPUTS = InputSpec(channels=2, size=8, classes=3)
TINY = VariantSpec(depth=1, dim=16, num_heads=2, mlp_ratio=2.0, T=2)
NEEDS = {
    ("stem", "spikingformer"): {"residual": "membrane"},
    ("stem", "sdt"): {"residual": "membrane"},
    ("family", "vit"): {"family": "vit", "attention": "vanilla"},
    ("family", "sj"): {"family": {"name": "sj", "patch_size": 4}},
    ("family", "qkformer"): {"depth": 3},
}
MEMBERS = [
    (field, name, T)
    for field, registry in COMPONENTS.items()
    if field != "surrogate"
    for name in REGISTRIES[registry]
    for T in (STEPS if field in ("stem", "attention", "neuron", "family") else (3,))
]


def lively(model: nn.Module, x: Tensor) -> nn.Module:
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
            if module.affine:
                nn.init.constant_(module.bias, 0.4)
    with torch.no_grad():
        model.train()(x)
    return model.eval()


class Fired:
    """Spikes of every neuron layer, read by hooks: (T, B) counts, added over the layers."""

    def __init__(self, model: nn.Module) -> None:
        self.by_step: list[Tensor] = []
        for module in model.modules():
            if isinstance(module, SpikingNeuron):
                module.register_forward_hook(lambda module, x, spikes: self.by_step.append(spikes.ne(0).flatten(2).sum(2)))


@pytest.mark.parametrize(("field", "name", "T"), MEMBERS, ids=lambda part: str(part))
def test_every_component_of_ours_is_told_apart(field: str, name: str, T: int) -> None:
    spec = TINY.replace(**{field: name, "T": T, **NEEDS.get((field, name), {})})
    if check(spec, INPUTS):  # an ANN has no steps, joint attention takes them in pairs
        assert T != 2 or name == "vit"
        return
    torch.manual_seed(0)
    four = torch.rand(4, 2, 8, 8)
    four[1] = 0
    order = [0, 1, 2, 3, 3, 0, 2, 1]
    x, model = four[order], lively(build(spec, INPUTS), torch.rand(8, 2, 8, 8))
    each = alone(model, four.split(1))
    expected = [each[i] for i in order]
    assert sum(row["events"] for row in expected) > 1000
    fired = Fired(model)
    for B in BATCHES[1:]:
        fired.by_step.clear()
        analysis = count(model, x[:B])
        agree(analysis, expected[:B])
        assert (analysis.samples, analysis.time_steps) == (B, T)
        for layer_, spikes in zip(analysis.neuron_layers, fired.by_step, strict=False):
            each_step = layer_.membrane_updates / layer_.time_steps
            assert [rate * each_step for rate in layer_.firing_rate_by_step] == pytest.approx(spikes.sum(1).tolist())
            assert analysis.spikes_by_sample(layer_.scope) == spikes.sum(0).tolist()


@pytest.mark.parametrize("T", STEPS)
@pytest.mark.parametrize("batch_first", [False, True])
def test_sequences_of_ours_are_laid_out_as_the_network_says(T: int, batch_first: bool) -> None:
    torch.manual_seed(0)
    x = torch.randint(0, 2, (8, T, 2, 8, 8)).float()
    x[1] = 0
    model = lively(build(TINY, InputSpec(2, 8, 3, events=True)), x.transpose(0, 1))
    expected = alone(model, x.transpose(0, 1).split(1, dim=1))
    model.batch_first = batch_first
    for B in BATCHES:
        analysis = count(model, x[:B] if batch_first else x[:B].transpose(0, 1).contiguous())
        assert (analysis.samples, analysis.time_steps) == (B, T)
        agree(analysis, expected[:B])


def test_a_batch_first_network_is_counted_as_the_same_with_time_first() -> None:
    """loiccordone/object-detection-with-spiking-neural-networks#17: which of T and B comes first."""
    torch.manual_seed(0)
    model = spikebench.build("spikformer-dvs-2-256", InputSpec(2, 64, 11, True), dim=64, num_heads=4, T=8).eval()
    x = (torch.rand(1, 8, 2, 64, 64) > 0.8).float()
    found = []
    for batch_first in (False, True):
        model.batch_first = batch_first
        a = count(model, x if batch_first else x.transpose(0, 1).contiguous())
        once = a.total("rate", first_convolution="once")
        found.append((a.samples, a.time_steps, a.total(), once, sum(site.bytes_read for site in a.sites)))
    assert found[0] == found[1]
    assert found[0][:2] == (1, 8)


# networks as they are written elsewhere


class Function(nn.Module):
    def __init__(self, function: Callable[..., Tensor], **layers: nn.Module) -> None:
        super().__init__()
        self.function, self.layers = function, nn.ModuleDict(layers)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(self.layers, *inputs)


def heads(x: Tensor, number: int = 2) -> Tensor:
    """(B * number, L, d) of (B, L, number * d)."""
    return x.unflatten(2, (number, -1)).transpose(1, 2).flatten(0, 1)


def attention(m: nn.ModuleDict, x: Tensor) -> Tensor:
    q, k, v = (heads(m[name](x)) for name in "qkv")
    return torch.bmm((torch.bmm(q, k.transpose(1, 2)) / 2).softmax(-1), v)


def fused_attention(m: nn.ModuleDict, x: Tensor) -> Tensor:
    q, k, v = m["qkv"](x).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
    return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)


def einsums(m: nn.ModuleDict, x: Tensor) -> Tensor:
    q, k = (m[name](x).unflatten(2, (2, -1)) for name in "qk")
    return torch.einsum("bhij,bjhd->bihd", torch.einsum("bihd,bjhd->bhij", q, k), k)


def recurrent(m: nn.ModuleDict, x: Tensor) -> Tensor:
    state = torch.zeros(x.shape[0], 8)
    for t in range(x.shape[1]):
        state = torch.tanh(m["i"](x[:, t]) + m["h"](state))
    return state


def gated(m: nn.ModuleDict, x: Tensor) -> Tensor:
    h = c = x.new_zeros(x.shape[0], 8)
    out = []
    for t in range(x.shape[1]):
        i, f, g, o = (m["x"](x[:, t]) + m["h"](h)).chunk(4, 1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        out.append(h)
    return m["out"](torch.stack(out, 1))


def buffered(m: nn.ModuleDict, x: Tensor) -> Tensor:
    out = torch.zeros(x.shape[0], x.shape[1], 8)
    for t in range(x.shape[1]):
        out[:, t] = m["i"](x[:, t])
    return m["h"](out)


def patches(m: nn.ModuleDict, x: Tensor) -> Tensor:
    return m["h"](F.unfold(x.unsqueeze(1), 2, stride=2).transpose(1, 2)[..., :4].repeat(1, 1, 2))


def sample_by_sample(m: nn.ModuleDict, x: Tensor) -> Tensor:
    return m["h"](torch.stack([m["h"](one).relu() for one in x]))


def time_convolution(m: nn.ModuleDict, x: Tensor) -> Tensor:
    return m["c"](x.transpose(1, 2)).relu().mean(2)


def image_convolution(m: nn.ModuleDict, x: Tensor) -> Tensor:
    y = F.max_pool2d(m["c2"](x.unsqueeze(1)), 2).relu()
    return m["d"](F.interpolate(F.pad(y, (1, 1, 1, 1)), scale_factor=2).flatten(1)[:, :8])


def tokens(m: nn.ModuleDict, x: Tensor) -> Tensor:
    y = torch.cat([m["token"].weight[:1].expand(x.shape[0], 1, 8), x], 1)
    return m["h"](F.layer_norm(y + m["token"].weight[:1], (8,)).roll(1, 1).index_select(1, torch.tensor([2, 0])))


def weights_on_the_left(m: nn.ModuleDict, x: Tensor) -> Tensor:
    return m["i"].weight[:, :4] @ x


def gate(m: nn.ModuleDict, x: Tensor) -> Tensor:
    return (m["i"](x).sigmoid() * m["h"](x).relu()).sum(1) * x.amax(1)


def length_first(m: nn.ModuleDict, x: Tensor) -> Tensor:
    return m["h"](m["i"](x.transpose(0, 1)).flatten(0, 1))


def linear(*names: str, out: int = 8) -> dict[str, nn.Module]:
    return {name: nn.Linear(8, out) for name in names}


WRITTEN: dict[str, Callable[[], nn.Module]] = {
    "linear": lambda: Function(lambda m, x: m["i"](x), **linear("i")),
    "bmm": lambda: Function(attention, **linear("q", "k", "v")),
    "sdpa": lambda: Function(fused_attention, qkv=nn.Linear(8, 24)),
    "einsum": lambda: Function(einsums, **linear("q", "k")),
    "recurrent": lambda: Function(recurrent, **linear("i", "h")),
    "gated": lambda: Function(gated, **linear("x", "h", out=32), out=nn.Linear(8, 2)),
    "buffer": lambda: Function(buffered, **linear("i", "h")),
    "unfold": lambda: Function(patches, **linear("h")),
    "sample by sample": lambda: Function(sample_by_sample, **linear("h")),
    "conv1d": lambda: Function(time_convolution, c=nn.Conv1d(8, 4, 3, padding=1)),
    "conv2d": lambda: Function(image_convolution, c2=nn.Conv2d(1, 3, 3), d=nn.Linear(8, 2)),
    "tokens": lambda: Function(tokens, token=nn.Embedding(1, 8), **linear("h")),
    "weights left": lambda: Function(weights_on_the_left, **linear("i")),
    "gate": lambda: Function(gate, **linear("i", "h")),
    "(L B) rows": lambda: Function(length_first, **linear("i", "h")),
    "batch norm": lambda: nn.Sequential(nn.Conv1d(4, 4, 1), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(8, 2)),
    "group norm": lambda: nn.Sequential(nn.Conv1d(4, 4, 1), nn.GroupNorm(2, 4), nn.ReLU(), nn.Linear(8, 2)),
    "instance norm": lambda: nn.Sequential(nn.InstanceNorm1d(4), nn.ReLU(), nn.Linear(8, 2)),
    "multi-head": lambda: Function(lambda m, x: m["m"](x, x, x)[0], m=nn.MultiheadAttention(8, 2, batch_first=True)),
    "encoder": lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True),
    "gru": lambda: Function(lambda m, x: m["g"](x)[0], g=nn.GRU(8, 3, batch_first=True)),
}


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
@pytest.mark.parametrize("name", WRITTEN)
def test_networks_with_the_batch_first(name: str, mode: str) -> None:
    """(B, 4, 8), zero but where spikes are: B divides 4, 8, 2 heads and their products, or does not."""
    torch.manual_seed(0)
    model = WRITTEN[name]().eval()
    x = (torch.rand(8, 4, 8) < 0.5).float()
    x[1] = 0
    expected = alone(model, x.split(1))
    with getattr(torch, mode)():
        for B in BATCHES:
            agree(count(model, x[:B]), expected[:B])


@pytest.mark.parametrize("L", STEPS)
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0),
        lambda: Function(lambda m, x: m["m"](x, x, x)[0], m=nn.MultiheadAttention(8, 2)),
        lambda: Function(lambda m, x: m["g"](m["l"](x))[0], l=nn.Linear(8, 8), g=nn.GRU(8, 3)),
        lambda: nn.GRU(8, 3),
    ],
)
def test_networks_whose_sequences_have_the_batch_second(make: Callable[[], nn.Module], L: int) -> None:
    """(L, B, N) is the default of ``torch.nn``: its modules say where their samples are."""
    torch.manual_seed(0)
    model = make().eval()
    x = torch.randn(L, 8, 8)
    x[:, 1] = 0
    expected = alone(model, x.split(1, dim=1))
    for B in BATCHES:
        analysis = count(model, x[:, :B])  # a part of its storage
        assert (analysis.samples, analysis.time_steps) == (B, 1)
        agree(analysis, expected[:B])


def test_a_sequence_without_a_batch_axis_is_one_sample() -> None:
    assert count(nn.GRU(8, 3), torch.rand(5, 8)).samples == 1


def test_video_has_its_batch_first() -> None:
    """Five axes that a 3-d convolution reads are no (T, B, C, H, W)."""
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Conv3d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 3, 2)), torch.rand(4, 2, 5, 3, 3)
    analysis = count(model, x)
    assert (analysis.samples, analysis.time_steps) == (4, 1)
    agree(analysis, alone(model, x.split(1)))


# what tells samples apart is gone


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: m["i"](x - x.mean(0)),
        lambda m, x: m["i"](x / x.max()),
        lambda m, x: m["i"](x.roll(1, 0)),
        lambda m, x: m["i"](x.flip(0)),
        lambda m, x: m["i"](x.flatten(0, 1).roll(1, 0)),
        lambda m, x: m["i"](x.flatten().sort()[0].view_as(x)),
        lambda m, x: m["i"](x[torch.tensor([1, 0])]),
        lambda m, x: m["i"](x[x.sum((1, 2)) > 0]),
        lambda m, x: m["i"](x * x.max().item()),
        lambda m, x: m["i"](x) if bool(x[1].any()) else m["i"](m["i"](x)),
        lambda m, x: m["i"](x[:1] + x),
        lambda m, x: m["i"](x[:1]),
        lambda m, x: m["i"](torch.einsum("bij,cij->bc", x, x) @ x[:, 0]),
        lambda m, x: m["i"](F.softmax(x, 0)),
        lambda m, x: m["i"](F.batch_norm(x, None, None, training=True)),
        lambda m, x: m["i"](torch.fft.fft(x, dim=0).real),
        lambda m, x: m["i"](x.cumsum(0)),
        lambda m, x: m["i"](x.transpose(0, 2)[:, :, :1].expand(8, 4, 8)),
    ],
)
def test_samples_that_are_mixed_are_not_told_apart(function: Callable[..., Tensor]) -> None:
    torch.manual_seed(0)
    x = torch.rand(2, 4, 8)
    analysis = count(Function(function, **linear("i")), x)
    assert analysis.total() > 0
    assert analysis.by_sample("events") is None


def test_a_state_that_goes_from_sample_to_sample_mixes_them() -> None:
    """A loop over samples through a neuron that remembers."""
    model = Function(lambda m, x: torch.stack([m["o"](m["n"](m["i"](one))) for one in x]), n=neuron.IFNode(), **linear("i", "o"))
    analysis = count(model, torch.rand(3, 8) * 9)
    assert analysis.by_sample("events") is None
    assert analysis.spikes_by_sample() is None


def test_a_neuron_that_steps_along_the_samples_mixes_them() -> None:
    """(B, T, N) given to a multi-step neuron, whose interface is (T, B, N)."""
    model = nn.Sequential(nn.Linear(8, 8), neuron.IFNode(step_mode="m"), nn.Linear(8, 2))
    analysis = count(model, torch.rand(4, 2, 8) * 9, samples=4)
    assert analysis.by_sample("events") is None
    assert analysis.spikes_by_sample() is None


def test_steps_and_samples_of_one_number_are_told_apart_by_the_network_alone() -> None:
    x, net = torch.rand(2, 2, 8), nn.Sequential(nn.Linear(8, 3), neuron.IFNode(step_mode="m"))
    assert count(net[:1], x, T=2, samples=2).by_sample("events") is None
    assert count(net[:1], x, samples=2).by_sample("events") is None
    assert count(net[:1], x).by_sample("events") == [48, 48]
    assert count(net, x, samples=2).by_sample("events") == [48, 48]


# SpikingJelly: one step a call, or all of them


def stepwise(m: nn.ModuleDict, x: Tensor) -> Tensor:
    return sum(m["net"](step) for step in x)  # type: ignore[return-value]


def joined(m: nn.ModuleDict, x: Tensor) -> Tensor:
    return m["out"](torch.stack([m["net"](step) for step in x]).flatten(0, 1))


def written(m: nn.ModuleDict, x: Tensor) -> Tensor:
    out = torch.empty(x.shape[0], x.shape[1], 5)
    for t in range(x.shape[0]):
        out[t] = m["net"](x[t])
    return m["out"](out)


@pytest.mark.parametrize("T", STEPS)
@pytest.mark.parametrize("run", [stepwise, joined, written, "multi-step", "encoded"])
@pytest.mark.parametrize("told", [True, False])
def test_spikingjelly_networks(T: int, run: str | Callable[..., Tensor], told: bool) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(layer.Linear(6, 5), neuron.LIFNode(v_threshold=0.3), layer.Linear(5, 5), neuron.IFNode(v_threshold=0.2))
    functional.set_step_mode(net, "s" if callable(run) else "m")
    if callable(run):
        model: nn.Module = Function(run, net=net, out=nn.Linear(5, 2))
    else:
        wide = (lambda m, x: m["out"](m["net"](x))) if run == "multi-step" else (lambda m, x: m["net"](x.repeat(T, 1, 1)))
        model = Function(wide, net=net, out=nn.Linear(5, 2))
    still = run == "encoded"
    x = torch.rand(8, 6) if still else torch.rand(T, 8, 6)
    x.select(0 if still else 1, 1).zero_()
    model.eval()

    def options(B: int) -> dict[str, int]:
        return {"T": T, "samples": B} if told and not still else {}

    expected = alone(model, x.split(1, dim=0 if still else 1), **options(1))
    for B in BATCHES:
        analysis = count(model, x[:B] if still else x[:, :B].contiguous(), **options(B))
        assert (analysis.samples, analysis.time_steps) == (B, T)
        agree(analysis, expected[:B])
        for one in analysis.neuron_layers:
            assert (one.time_steps, one.neurons, len(one.firing_rate_by_step)) == (T, 5, T)


@pytest.mark.parametrize("T", STEPS)
@pytest.mark.parametrize("flat", [False, True])
def test_neurons_of_ones_own_class_step_by_step_or_all_at_once(T: int, flat: bool) -> None:
    class Mine(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x > 0).float()

    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(0, 1) if flat else nn.Identity(), Mine(), nn.Linear(6, 2))
    for B in BATCHES:
        x = torch.randn(T, B, 6)
        with torch.no_grad(), ActivityObserver(model, T=T, samples=B, neurons=(Mine,)) as observer:
            model(x)
        (one,) = observer.analysis.neuron_layers
        if B == T > 1:  # nobody says which is which
            assert observer.analysis.spikes_by_sample() is None
            continue
        assert observer.analysis.spikes_by_sample() == (x > 0).sum((0, 2)).tolist()
        assert one.firing_rate_by_step == pytest.approx((x > 0).float().mean((1, 2)).tolist())
