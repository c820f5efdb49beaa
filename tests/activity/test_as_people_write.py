"""Networks written the way people write them, against torch's own counter of matrix products and convolutions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, prune, rnn, spectral_norm
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from spikebench.activity import ActivityObserver, count


class Function(nn.Module):
    """``function(self, x)`` with the given modules and parameters."""

    def __init__(self, function: object, **parts: object) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, nn.Parameter(part) if isinstance(part, Tensor) else part)

    def forward(self, *args: Tensor) -> object:
        return self.function(self, *args)  # type: ignore[operator]


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 8), nn.ReLU(inplace=True), nn.Linear(8, 4))


def pruned() -> nn.Module:
    layer = nn.Linear(8, 8)
    prune.l1_unstructured(layer, "weight", 0.5)
    return layer


def tied() -> nn.Module:
    first, second = nn.Linear(8, 8), nn.Linear(8, 8)
    second.weight = first.weight
    return nn.Sequential(first, second, first)


def in_lists() -> nn.Module:
    model = Function(lambda s, x: s.hidden["b"][0](s.layers[0](x)))
    model.layers, model.hidden = [nn.Linear(8, 8)], {"b": (nn.Linear(8, 4),)}
    return model


def autocast(s: nn.Module, x: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return s.f(x)


def gru_cell(s: nn.Module, x: Tensor) -> Tensor:
    h = torch.zeros(x.shape[1], 4)
    for step in x:
        h = s.f(step, h)
    return h


def flops_of_weights_are_none(s: nn.Module, x: Tensor) -> Tensor:
    return F.linear(x, (s.a + s.a).relu())


MODELS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "weight norm": (parametrizations.weight_norm(nn.Linear(8, 8)), (4, 8)),
    "spectral norm": (nn.Sequential(parametrizations.spectral_norm(nn.Linear(8, 8))).train(), (4, 8)),
    "old spectral norm": (nn.Sequential(spectral_norm(nn.Linear(8, 8))).train(), (4, 8)),
    "pruned": (nn.Sequential(pruned()), (4, 8)),
    "tied and called twice": (tied(), (4, 8)),
    "transposed weight": (Function(lambda s, x: F.linear(s.f(x), s.f.weight.t()), f=nn.Linear(8, 5)), (4, 8)),
    "checkpoint": (Function(lambda s, x: checkpoint(s.f, x, use_reentrant=False), f=mlp()), (4, 8)),
    "reentrant checkpoint": (Function(lambda s, x: checkpoint(s.f, x, use_reentrant=True), f=mlp()), (4, 8)),
    "DataParallel": (nn.DataParallel(mlp()), (4, 8)),
    "functional_call": (
        Function(lambda s, x: torch.func.functional_call(s.f, {k: v * 2 for k, v in s.f.named_parameters()}, (x,)), f=mlp()),
        (4, 8),
    ),
    "vmap over samples": (Function(lambda s, x: torch.vmap(s.f)(x), f=nn.Sequential(nn.Linear(8, 4), nn.Tanh())), (4, 8)),
    "vmap over weights": (Function(lambda s, x: torch.vmap(lambda w: x @ w)(s.w), w=torch.rand(3, 8, 2)), (4, 8)),
    "vmap over both": (Function(lambda s, x: torch.vmap(lambda a, w: a @ w)(x, s.w), w=torch.rand(4, 8, 2)), (4, 8)),
    "compiled": (torch.compile(mlp(), backend="eager"), (4, 8)),
    "autocast": (Function(autocast, f=nn.Sequential(nn.Linear(8, 8), nn.ReLU())), (4, 8)),
    "modules in lists": (in_lists(), (4, 8)),
    "weights made of weights": (Function(flops_of_weights_are_none, a=torch.rand(3, 8)), (4, 8)),
    "einsum": (Function(lambda s, x: torch.einsum("bi,oi->bo", x, s.w), w=torch.rand(3, 8)), (4, 8)),
    "einsum over heads": (Function(lambda s, x: torch.einsum("bnhd,bmhd->bhnm", x, x)), (2, 3, 2, 4)),
    "tensordot": (Function(lambda s, x: torch.tensordot(x, s.w, 1), w=torch.rand(8, 3)), (4, 8)),
    "addmm": (Function(lambda s, x: torch.addmm(s.b, x, s.w, beta=0.5, alpha=2), w=torch.rand(8, 3), b=torch.rand(3)), (4, 8)),
    "unfold, multiply, fold": (
        Function(lambda s, x: F.fold(s.w @ F.unfold(x, 3, padding=1), 6, 3, padding=1), w=torch.rand(18, 27)),
        (2, 3, 6, 6),
    ),
    "padding by reflection": (nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), (2, 3, 8, 8)),
    "windows": (
        Function(
            lambda s, x: s.f(torch.roll(x, (1, 1), (1, 2)).unfold(1, 2, 2).unfold(2, 2, 2).reshape(2, -1, 12)), f=nn.Linear(12, 4)
        ),
        (2, 4, 4, 3),
    ),
    "loss in forward": (
        Function(lambda s, x: F.cross_entropy(s.f(x), torch.zeros(4, dtype=torch.long)), f=nn.Linear(8, 3)),
        (4, 8),
    ),
    "gumbel softmax": (Function(lambda s, x: F.gumbel_softmax(s.f(x), hard=True), f=nn.Linear(8, 4)), (4, 8)),
    "in place": (
        Function(lambda s, x: s.f(x).sub_(0.5).relu_().unsqueeze_(0).squeeze_(0) @ s.w, f=nn.Linear(8, 4), w=torch.rand(4, 2)),
        (4, 8),
    ),
    "positions from a convolution": (
        Function(lambda s, x: s.f(x) + s.p(s.w), f=nn.Conv1d(3, 4, 1), p=nn.Conv1d(2, 4, 1), w=torch.rand(1, 2, 8)),
        (2, 3, 8),
    ),
}
WEIGHTS_ALONE = {"positions from a convolution": 8 * 2 * 4}
"""What torch counts although no input has a part in it: an image does not cost it."""


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("mode", ["no_grad", "enable_grad"])
@pytest.mark.filterwarnings("ignore")
def test_dense_macs_are_torch_s_and_nothing_is_left_out(name: str, mode: str) -> None:
    model, shape = MODELS[name]
    x = torch.rand(shape) + 0.1
    with getattr(torch, mode)(), FlopCounterMode(display=False) as flops:
        model(x.clone().requires_grad_(mode == "enable_grad" and "reentrant" in name))
    found = count(model, x)
    assert found.not_counted == ()
    products = sum(site.dense_macs for site in found.sites if site.operation == "hadamard")
    expected = flops.get_total_flops() // 2 - WEIGHTS_ALONE.get(name, 0)
    assert found.total("dense") - products == expected > 0


def test_attention_and_recurrent_layers_in_evaluation() -> None:
    """Their fused kernels are unknown to torch's counter."""
    x = torch.rand(2, 5, 8)
    mha = nn.MultiheadAttention(8, 2, batch_first=True).eval()
    found = count(mha, (x, x, x))
    assert (found.total("dense"), found.not_counted) == (2 * 5 * 4 * 64 + 2 * 2 * 2 * 5 * 5 * 4, ())
    lstm = nn.LSTM(8, 4, 2, bidirectional=True, batch_first=True).eval()
    found = count(lstm, x)
    assert (found.total("dense", products="none"), found.not_counted) == (2 * 5 * 16 * 2 * ((8 + 4) + (8 + 4)), ())
    packed = Function(
        lambda s, x: s.f(rnn.pack_padded_sequence(x, [5, 3], batch_first=True))[0], f=nn.LSTM(8, 4, batch_first=True)
    )
    found = count(packed, x)
    assert (found.total("dense", products="none"), found.not_counted) == ((5 + 3) * 16 * (8 + 4), ())
    cell = count(Function(gru_cell, f=nn.GRUCell(8, 4)), x)
    assert (cell.total("dense", products="none"), cell.not_counted) == (2 * 5 * 12 * (8 + 4), ())


def test_fused_multiply_and_add() -> None:
    x, a, b = torch.rand(3, 4), (torch.rand(3, 4) > 0.5).float(), torch.randint(0, 3, (3, 4)).float()
    both = int(((a != 0) & (b != 0)).sum())
    for step in (lambda s, x, a, b: torch.addcmul(x, a, b, value=0.5), lambda s, x, a, b: a.clone().addcmul_(a, b)):
        found = count(Function(step), (x, a, b))
        (site,) = [site for site in found.sites if site.synaptic]
        assert (site.operation, site.events, found.not_counted) == ("hadamard", both, ())
    (row,) = count(Function(lambda s, x, a, b: torch.lerp(x, a, b)), (x, a, b)).not_counted
    assert "activations as weights" in row.reason
    assert count(Function(lambda s, x, a, b: torch.lerp(x, a, 0.5)), (x, a, b)).not_counted == ()


def test_neurons_that_a_network_keeps_in_a_list() -> None:
    from spikingjelly.activation_based import layer, neuron

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList([layer.Linear(8, 8), layer.Linear(8, 8)])
            self.fire = [neuron.LIFNode(), neuron.LIFNode()]

        def forward(self, x: Tensor) -> Tensor:
            for part, fire in zip(self.layers, self.fire, strict=True):
                x = fire(part(x))
            return x

    torch.manual_seed(0)
    model, x = Net(), torch.rand(4, 8) * 4
    found = count(model, x)
    assert [row.scope for row in found.neuron_layers] == ["fire.0", "fire.1"]
    assert found.not_counted == ()
    assert not any(fire._forward_hooks or fire._forward_pre_hooks for fire in model.fire)
    model(x)
    assert count(model, x).to_pandas().equals(found.to_pandas())


def test_a_call_that_is_none_of_the_module_is_said() -> None:
    """``model.forward(x)`` runs no hooks, so nothing is seen."""
    model = nn.Linear(4, 4)
    with torch.no_grad(), ActivityObserver(model) as observer:
        model.forward(torch.rand(2, 4))
    (row,) = observer.analysis.not_counted
    assert "was not called" in row.reason


def test_a_network_without_a_tensor_among_its_arguments_is_said() -> None:
    model = Function(lambda s, n: s.f(torch.rand(n, 4)), f=nn.Linear(4, 2))
    (row,) = count(model, (3,)).not_counted  # type: ignore[arg-type]
    assert "no tensor among its arguments" in row.reason
    assert math.isfinite(count(model, (3,)).total())  # type: ignore[arg-type]
