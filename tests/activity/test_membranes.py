"""Hand-written neurons that nobody declared are named; networks that only look a little like them are not."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebench.activity import count


class MemUpdate(nn.Module):
    """MS-ResNet and EMS-YOLO: decay and hard reset by a product."""

    def forward(self, x: Tensor) -> Tensor:
        out, old, spike = torch.zeros_like(x), x[0], torch.zeros_like(x[0])
        for t in range(x.shape[0]):
            old = x[t] if t == 0 else old * 0.25 * (1 - spike) + x[t]
            spike = (old > 0.5).float()
            out[t] = spike
        return out


class Surrogate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.gt(0).type_as(x)

    @staticmethod
    def backward(ctx: object, g: Tensor) -> Tensor:
        return g


class WithSurrogate(nn.Module):
    """Reset by the membrane's own product; the list of spikes is stacked."""

    def fire(self, x: Tensor) -> Tensor:
        return Surrogate.apply(x)

    def forward(self, x: Tensor) -> Tensor:
        mem, spikes = torch.zeros_like(x[0]), []
        for step in x:
            mem = mem + (step - mem) / 2
            spikes.append(self.fire(mem - 0.5))
            mem = mem * (1.0 - spikes[-1].detach())
        return torch.stack(spikes)


class Heaviside(WithSurrogate):
    def fire(self, x: Tensor) -> Tensor:
        return torch.heaviside(x, torch.ones(()))


class Sign(WithSurrogate):
    def fire(self, x: Tensor) -> Tensor:
        return (torch.sign(x) + 1) / 2


class Where(WithSurrogate):
    def fire(self, x: Tensor) -> Tensor:
        return torch.where(x >= 0, 1.0, 0.0)


class Rounds(WithSurrogate):
    """An integer neuron."""

    def fire(self, x: Tensor) -> Tensor:
        return torch.round(torch.clamp(x + 0.5, 0, 4))


class InPlace(nn.Module):
    """snnTorch's reset to zero, the membrane written in place."""

    def forward(self, x: Tensor) -> Tensor:
        mem, out = torch.zeros_like(x[0]), torch.empty_like(x)
        for t in range(x.shape[0]):
            reset = (mem > 0.5).to(mem.dtype)
            mem.mul_(0.9).add_(x[t]).sub_(reset * mem)
            out[t].copy_(mem > 0.5)
        return out


class WithAct(nn.Module):
    """The threshold is a module inside the neuron's."""

    def __init__(self) -> None:
        super().__init__()
        self.act = Function(lambda x: (x > 0.5).float())

    def forward(self, x: Tensor) -> Tensor:
        mem = spike = torch.zeros_like(x[0])
        out = []
        for step in x:
            mem = mem * (1 - spike) * 0.5 + step
            spike = self.act(mem)
            out.append(spike)
        return torch.stack(out)


class Function(nn.Module):
    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Tensor) -> Tensor:
        return self.function(*args)  # type: ignore[operator]


class Net(nn.Module):
    def __init__(self, neuron: nn.Module) -> None:
        super().__init__()
        self.a, self.n, self.b = nn.Linear(8, 16, bias=False), neuron, nn.Linear(16, 4, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.n(self.a(x))).mean(0)


NEURONS = [MemUpdate, WithSurrogate, Heaviside, Sign, Where, Rounds, InPlace, WithAct]


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("neuron", NEURONS)
@pytest.mark.parametrize("mode", ["no_grad", "inference_mode"])
def test_a_neuron_written_by_hand_is_named(neuron: type[nn.Module], mode: str) -> None:
    model, x = Net(neuron()), torch.rand(4, 2, 8) * 3
    with getattr(torch, mode)():
        found = count(model, x, T=4, samples=2)
        declared = count(model, x, T=4, samples=2, neurons=(neuron,))
    (row,) = found.not_counted
    assert (row.scope, row.operation) == ("n", "neuron")
    assert f"pass neurons=({neuron.__name__},)" in row.reason
    assert f"{row.calls} elementwise products feed a threshold" in row.reason
    assert "no neuron layer was recognised" in row.reason
    assert 3 <= row.calls <= sum(site.operation == "hadamard" for site in found.sites)
    products = sum(site.events for site in found.sites if site.operation == "hadamard")
    assert found.total() - products == declared.total()
    assert declared.not_counted == ()
    assert row.reason in repr(found)
    assert f"{found.total():,} SOPs" in repr(found)


class Stored(WithSurrogate):
    """One step a call; the membrane waits in the module for the next."""

    def forward(self, x: Tensor) -> Tensor:
        mem = getattr(self, "mem", torch.zeros_like(x)) + x / 2
        spike = self.fire(mem - 0.5)
        self.mem = (mem * (1.0 - spike)).detach()
        return spike


@pytest.mark.parametrize("neuron", [WithSurrogate, Heaviside, Sign, Where, Rounds])
def test_one_step_leaves_a_membrane_that_waits(neuron: type[nn.Module]) -> None:
    model, x = Net(neuron()), torch.rand(1, 2, 8) * 3
    (row,) = count(model, x, T=1, samples=2).not_counted
    assert (row.scope, row.operation, row.calls) == ("n", "neuron", 1)
    assert row.reason.startswith("an elementwise product waits for a next step, as a membrane after its reset does, but counts")
    assert count(model, x, T=1, samples=2, neurons=(neuron,)).not_counted == ()


def test_one_step_a_call_leaves_one_too() -> None:
    model = Net(Stored())
    for _ in range(2):
        (row,) = count(model, torch.rand(2, 8) * 3).not_counted
        assert (row.scope, row.calls) == ("n", 1)
        model.n(torch.rand(2, 16))


@pytest.mark.parametrize("way", ["returned", "viewed", "copied", "accumulated"])
def test_a_gated_value_that_is_used_is_no_membrane(way: str) -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Linear(8, 8)

        def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
            x = self.a(x)
            y = x * (x > 0).float()
            if way == "returned":
                return {"y": y}
            if way == "viewed":
                return y.view(2, 2, 4).transpose(0, 1)
            if way == "copied":
                return torch.empty(2, 8).copy_(y)
            return torch.zeros(2, 8).add_(y)

    assert count(Gated(), torch.rand(2, 8)).not_counted == ()


def test_a_scripted_neuron_is_named_too() -> None:
    model = Net(torch.jit.script(MemUpdate()))
    assert count(model, torch.rand(4, 2, 8) * 3, T=4, samples=2).not_counted[0].scope == "n"


def test_a_neuron_in_the_forward_of_the_network() -> None:
    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Linear(8, 16), nn.Linear(16, 4)

        def forward(self, x: Tensor) -> Tensor:
            mem = spike = torch.zeros(x.shape[1], 16)
            for step in x:
                mem = mem * 0.5 * (1 - spike) + self.a(step)
                spike = (mem > 0.3).float()
            return self.b(spike)

    (row,) = count(Whole(), torch.rand(4, 2, 8), T=4, samples=2).not_counted
    assert "make the neuron that is written into Whole a module of its own" in row.reason


def test_beside_a_recognised_neuron() -> None:
    from spikingjelly.activation_based import neuron

    model = nn.Sequential(nn.Linear(8, 8), neuron.LIFNode(step_mode="m"), Net(MemUpdate()))
    (row,) = count(model, torch.rand(4, 2, 8) * 3, T=4, samples=2).not_counted
    assert row.scope == "2.n"
    assert "no neuron layer" not in row.reason


# what is no neuron


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.conv = nn.Linear(4, 2), nn.Linear(2, 4), nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * self.b(self.a(x.mean((2, 3))).relu()).sigmoid()[..., None, None]


class Attention(nn.Module):
    """Spikes of a threshold in a product that ends in a layer; masks; guards."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj = nn.Linear(4, 12), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, -1)
        mask = x.sum(-1) > 0
        scores = (q @ k.transpose(-1, -2) / math.sqrt(4)).masked_fill(~mask[:, None], -1e9)
        out = self.proj((scores.softmax(-1) @ v) * mask[..., None].float())
        if (out > 1e3).any() or torch.isnan(out).any():
            raise ValueError
        return out * (out > 0).float()  # a ReLU by hand


class EarlyExit(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = F.silu(layer(x)) * x
            if (x > 10).all() or x.max() > 1e9:
                break
        return x


class FakeQuantised(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        for layer in (self.a, self.b):
            scale = x.abs().max(1, keepdim=True)[0] / 127
            x = layer(torch.round(x / scale).clamp(-127, 127) * scale)
        return x


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(SqueezeExcite(), SqueezeExcite()),
        nn.Sequential(nn.Flatten(2), Function(lambda x: x.transpose(1, 2)), Attention(), Attention()),
        nn.Sequential(nn.Flatten(2), Function(lambda x: x[..., :4]), EarlyExit()),
        nn.Sequential(nn.Flatten(2), Function(lambda x: x[..., :4].flatten(0, 1)), FakeQuantised()),
        nn.Sequential(nn.Flatten(2), Function(lambda x: x[..., :4]), nn.LSTM(4, 4)),
        nn.Sequential(nn.Flatten(2), Function(lambda x: x[..., :4]), nn.GRU(4, 4)),
        nn.Sequential(nn.Flatten(2), Function(lambda x: x[..., :4]), nn.TransformerEncoderLayer(4, 2, 8)),
        nn.Sequential(nn.Conv2d(4, 4, 3), nn.GLU(1), nn.Dropout(), nn.Hardswish(), nn.Conv2d(2, 4, 3)),
    ],
    ids=["squeeze-excite", "attention", "early-exit", "fake-quantised", "lstm", "gru", "transformer", "gates"],
)
def test_gates_masks_guards_and_quantisers_are_none(model: nn.Module, training: bool) -> None:
    assert count(model.train(training), torch.rand(2, 4, 6, 6)).not_counted == ()


@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_no_neuron_of_spikingjelly_is_taken_for_one(step_mode: str) -> None:
    from spikingjelly.activation_based import base, neuron

    for name in ("IFNode", "LIFNode", "ParametricLIFNode", "QIFNode", "EIFNode", "IzhikevichNode", "KLIFNode"):
        node = getattr(neuron, name)(step_mode=step_mode)
        assert isinstance(node, base.MemoryModule)
        model = nn.Sequential(nn.Linear(8, 8), node, nn.Linear(8, 4))
        run = model if step_mode == "m" else Steps(model)
        assert count(run, torch.rand(4, 2, 8) * 3, T=4, samples=2).not_counted == ()


class Steps(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([self.model(step) for step in x])
