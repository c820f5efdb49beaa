"""Tensors outside the strided, finite, real world, and modules that are not plain Python: counted, listed or refused in words."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebench.activity import count
from spikebench.activity.analysis import ActivityAnalysis
from spikebench.core.errors import InputError


class Function(nn.Module):
    """``function(x, w)`` with w (4, 3)."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.w, self.function = nn.Parameter(torch.rand(4, 3) + 0.1), function

    def forward(self, *args: Tensor) -> Tensor:
        return self.function(*args, self.w)  # type: ignore[operator]


def jagged(x: Tensor) -> Tensor:
    return torch.nested.nested_tensor([x[:1], x[1:]], layout=torch.jagged)


QUANTISED = torch.quantize_per_tensor


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("function", "operation"),
    [
        (lambda x, w: torch.sparse.mm(x.to_sparse(), w), "aten._to_sparse"),
        (lambda x, w: torch.sparse.mm(x.to_sparse_csr(), w), "aten._to_sparse_csr"),
        (lambda x, w: x @ w.to_sparse(), "aten"),
        (lambda x, w: x.to_sparse().coalesce().values() * 2, "aten._to_sparse"),
        (lambda x, w: (x.to_sparse() * 2).to_dense() @ w, "aten._to_sparse"),
        (lambda x, w: F.linear(torch.nested.nested_tensor([x[:1], x[1:]]), w.T), "aten"),
        (lambda x, w: (jagged(x) @ w).values(), "aten"),
        (lambda x, w: x.to(torch.complex64) @ w.to(torch.complex64), "aten"),
        (lambda x, w: torch.fft.rfft(x), "aten._fft_r2c"),
        (lambda x, w: QUANTISED(x, 0.1, 0, torch.quint8).dequantize() @ w, "aten.quantize_per_tensor"),
        (
            lambda x, w: torch._int_mm(x.to(torch.int8).expand(32, 4).repeat(1, 4), w.to(torch.int8).repeat(4, 4)[:, :8]).float(),
            "",
        ),
    ],
)
def test_what_is_no_plain_tensor_is_listed_or_counted(function: object, operation: str) -> None:
    model = nn.Sequential(nn.Linear(4, 4), Function(function))
    x = torch.rand(2, 4) + 0.1
    if not operation:
        model, x = nn.Sequential(Function(function)), torch.ones(1, 4)
    found = count(model, x)
    if operation:
        assert found.not_counted
        assert found.not_counted[0].operation.startswith(operation)
        assert found.sites[0].dense_macs == 32
    else:
        assert (found.total(), found.not_counted) == (32 * 16 * 8, ())


@pytest.mark.parametrize("layout", ["to_sparse", "to_sparse_csr"])
@pytest.mark.filterwarnings("ignore")
def test_a_sparse_input_is_listed(layout: str) -> None:
    found = count(Function(lambda x, w: torch.sparse.mm(x, w)), getattr(torch.eye(4), layout)())
    assert found.not_counted
    assert "sparse" in found.not_counted[0].reason


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("steps", [nn.Identity(), nn.ReLU(), nn.Flatten()])
def test_numbers_that_are_not_finite_are_nonzero(value: float, steps: nn.Module) -> None:
    x = torch.ones(2, 4)
    x[1, 1] = value
    found = count(nn.Sequential(steps, nn.Linear(4, 3, bias=False)), x)
    expected = int((steps(x) != 0).sum()) * 3
    (site,) = [site for site in found.sites if site.synaptic]
    assert (found.total(), found.by_sample("events")) == (expected, [12, expected - 12])
    assert (site.input, site.unit_acs) == (("binary", expected) if steps(x).isfinite().all() else ("real", None))


def test_a_product_of_spikes_with_what_is_not_finite() -> None:
    x = torch.full((2, 4, 4), float("nan"))
    found = count(Function(lambda x, w: (x != 0).float() @ x), x)
    assert found.sites[-1].events == 2 * 64
    assert found.sites[-1].unit_acs is None


def test_weights_that_are_not_finite() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    nn.init.constant_(model[0].weight, float("nan"))
    assert count(model, torch.ones(2, 4)).total() == 2 * (16 + 8)


@pytest.mark.filterwarnings("ignore")
def test_scripted_and_traced_modules() -> None:
    def network() -> nn.Sequential:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Sequential(nn.Linear(5, 3)))

    x = torch.rand(2, 4) + 0.1
    expected = count(network(), x)
    part = network()
    part[2] = torch.jit.script(part[2])
    for model in (
        torch.jit.script(network()),
        part,
        torch.jit.trace(network(), x),
        torch.jit.freeze(torch.jit.script(network().eval())),
        nn.Sequential(torch.jit.script(network())),
    ):
        for _ in range(3):  # the first calls of a script are profiled, later ones optimised
            model(x)
        found = count(model, x)
        assert (found.total(), found.total("dense"), found.not_counted) == (expected.total(), expected.total("dense"), ())
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("lazy", [nn.LazyLinear(3), nn.LazyConv1d(3, 1), nn.LazyBatchNorm1d()])
def test_a_lazy_module_is_refused_until_it_was_called(lazy: nn.Module) -> None:
    model, x = nn.Sequential(nn.Identity(), lazy), torch.rand(2, 4, 5)
    with pytest.raises(InputError, match=r"^1 \(Lazy.* run the network once"):
        count(model, x)
    model(x)
    assert isinstance(count(model, x), ActivityAnalysis)


def test_tensors_without_values_are_refused() -> None:
    with pytest.raises(InputError, match=r"^1 \(Linear\) is on the device meta"):
        count(nn.Sequential(nn.Identity(), nn.Linear(2, 2, device="meta")), torch.rand(2, 2))
    with pytest.raises(InputError, match="an input is on the device meta"):
        count(nn.ReLU(), torch.rand(2, 2, device="meta"))


@pytest.mark.parametrize("layer", [nn.Conv2d(3, 4, 1), nn.Linear(8, 4)])
def test_inputs_without_elements(layer: nn.Module) -> None:
    from spikingjelly.activation_based import neuron

    found = count(nn.Sequential(layer, neuron.IFNode(), nn.Flatten(2)), torch.zeros(0, 3, 8, 8))
    assert found.total() == found.total("dense") == 0
    assert found.neuron_layers[0].spikes == 0
    assert found.neurons().firing_rate.tolist() == [0.0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_number_formats(dtype: torch.dtype) -> None:
    model = nn.Linear(4, 3, bias=False).to(dtype)
    assert count(model, torch.ones(2, 4, dtype=dtype)).total() == 24


def test_rate_coded_input_is_an_input() -> None:
    """Random spikes whose chances are the image are no constants."""
    for draw in (
        torch.bernoulli,
        torch.poisson,
        lambda x: torch.normal(x, 1.0) * 0 + 1,
        lambda x: torch.zeros_like(x).bernoulli_(x),
    ):
        found = count(
            Function(lambda x, w, draw=draw: F.linear(draw(x), w.T)),
            torch.ones(2, 4) * 30 if draw is torch.poisson else torch.ones(2, 4),
        )
        assert (found.total(), found.not_counted) == (24, ())


@pytest.mark.parametrize(("channels", "shape"), [(3, (6, 6)), (1, (6, 6)), (4, (9,))])
def test_an_image_without_a_batch_is_one_sample(channels: int, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    conv = {1: nn.Conv1d, 2: nn.Conv2d}[len(shape)]
    model = nn.Sequential(conv(channels, 5, 3), nn.ReLU(), conv(5, 2, 3))
    image = torch.rand(channels, *shape)
    alone, batch = count(model, image), count(model, image[None])
    assert (alone.samples, batch.samples) == (1, 1)
    assert alone.by_sample("events") == batch.by_sample("events") == [alone.total()]
    assert count(model, torch.stack([image] * 3)).samples == 3
