"""BatchNorm and LIF in one kernel inside networks, and BatchNorm folded into weights: what changes, and what must not."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikebench import InputSpec, build, count
from spikebench.kernels.lif import use_backend
from spikebench.networks import fused, shortcuts
from spikebench.networks.folding import flips, fold
from spikebench.networks.rates import collecting_rates

INPUTS = InputSpec(3, 16, 10)


def network(**overrides: Any) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    model = build("spikformer-2-64", INPUTS, **{"depth": 1, "dim": 32, "num_heads": 2, "T": 3, **overrides})
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.constant_(module.bias, 0.9)
            module.momentum = 1.0
    return model, torch.rand(6, 3, 16, 16)


@pytest.fixture
def fires(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes that the fused kernel was given."""
    shapes: list[tuple[int, ...]] = []
    real = fused.fire
    monkeypatch.setattr(fused, "fire", lambda norm, neuron, x: (shapes.append(tuple(x.shape)), real(norm, neuron, x))[1])
    return shapes


@pytest.mark.parametrize("x", ["image", "sequence"])
def test_a_training_step_is_the_same_up_to_rounding(x: str, fires: list[tuple[int, ...]]) -> None:
    model, images = network()
    other = copy.deepcopy(model)
    given = images if x == "image" else torch.rand(3, *images.shape)
    labels = torch.arange(6)
    plain, _ = model.loss(given, labels)
    plain.backward()
    with shortcuts.fusing_bn_lif():
        once, _ = other.loss(given, labels)
        once.backward()
    # Four stages, the position's, and q, k, v, the output's, two of the MLP; the neuron after the product has no BatchNorm.
    assert len(fires) == 11
    torch.testing.assert_close(once, plain, rtol=1e-2, atol=1e-2)
    for (name, one), two in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        first = name.startswith("stem.stages.0") or "num_batches" in name  # before any spike could flip
        torch.testing.assert_close(two, one, rtol=1e-5 if first else 0.1, atol=1e-6 if first else 0.05, msg=name)
    for one, two in zip(model.parameters(), other.parameters(), strict=True):
        assert one.grad is not None
        assert two.grad is not None
        cosine = torch.nn.functional.cosine_similarity(one.grad.flatten(), two.grad.flatten(), 0)
        assert cosine > 0.9 or one.grad.abs().max() < 1e-6


def test_evaluation_flips_few_spikes(fires: list[tuple[int, ...]]) -> None:
    model, x = network()
    model(x)
    model.eval()
    with torch.no_grad():
        plain = model(x)
        with shortcuts.fusing_bn_lif():
            torch.testing.assert_close(model(x), plain, rtol=0.1, atol=0.1 * float(plain.abs().max()))
    assert plain.abs().max() > 0
    assert len(fires) == 11


def test_it_is_off_unless_asked_for_in_a_count_and_where_it_cannot_be(fires: list[tuple[int, ...]]) -> None:
    model, x = network()
    model.eval()
    with torch.no_grad():
        plain = model(x)
        with shortcuts.fusing_bn_lif():
            counted = count(model, x).to_pandas()
            assert not fires
            with shortcuts.without_shortcuts():
                model(x)
            with use_backend("torch"):
                assert torch.equal(model(x), plain)
            model.double()(x.double())
            assert not fires
    model.float()
    assert count(model, x).to_pandas().equals(counted)


def test_a_module_that_somebody_listens_to_is_called(fires: list[tuple[int, ...]]) -> None:
    model, x = network()
    heard = []
    neuron = model.stem.stages[1].neuron
    neuron.register_forward_hook(lambda *_: heard.append(1))
    with torch.no_grad(), shortcuts.fusing_bn_lif():
        model(x)
    assert heard == [1]
    assert len(fires) == 10


@pytest.mark.parametrize("overrides", [{"neuron": "plif"}, {"residual": "membrane"}, {"attention": "softmax"}], ids=str)
def test_other_networks_run_as_they_are(overrides: dict[str, Any]) -> None:
    model, x = network(**overrides)
    model.eval()
    with torch.no_grad():
        plain = model(x)
        with shortcuts.fusing_bn_lif():
            torch.testing.assert_close(model(x), plain, rtol=0.1, atol=0.1)


def test_rates_are_noted_all_the_same() -> None:
    model, x = network()
    with torch.no_grad(), collecting_rates() as plain:
        model.eval()(x)
    with torch.no_grad(), shortcuts.fusing_bn_lif(), collecting_rates() as once:
        model(x)
    assert len(once) == len(plain) > 11


@pytest.mark.parametrize(("stem", "residual"), [("sps", "add"), ("scs", "add"), ("spikingformer", "membrane")])
def test_folding_changes_nothing_in_float64(stem: str, residual: str) -> None:
    model, x = network(stem=stem, residual=residual)
    model(x)
    model.double().eval()
    folded, layers = fold(model)
    assert layers > 5
    assert sum(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in folded.modules()) < sum(
        isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules()
    )
    with torch.no_grad():
        torch.testing.assert_close(folded(x.double()), model(x.double()))
        changed, outputs = flips(model, folded, x.double())
    assert changed == 0
    assert outputs > 0


def test_flips_are_counted() -> None:
    model, x = network()
    model(x)
    model.eval()
    other = copy.deepcopy(model)
    last = [module for module in other.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)][-1]
    nn.init.constant_(last.weight, 0)
    nn.init.constant_(last.bias, 100)  # the last neuron always fires
    with torch.no_grad():
        spikes = []
        hook = model.blocks[-1].mlp.fc2.neuron.register_forward_hook(lambda *args: spikes.append(args[-1]))
        changed, outputs = flips(model, other, x)
        hook.remove()
    assert changed == int((spikes[0] == 0).sum()) > 0
    assert outputs > changed
