"""Counts that kernels hand over are those of the tensors that they wrote, and are used only while these are unchanged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from spikebench import InputSpec, build, count
from spikebench.activity import loops, observer
from spikebench.activity.analysis import ActivityAnalysis
from spikebench.kernels.lif import lif
from spikebench.networks.neurons._base import SpikingNeuron


def rows(analysis: ActivityAnalysis) -> tuple[Any, Any]:
    return analysis.to_pandas(), analysis.neurons()


@pytest.fixture
def deaf(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From its call on observers read every spike."""
    return lambda: monkeypatch.setattr(observer.ActivityObserver, "_counted", lambda *_: None)


def lively(**overrides: Any) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    model = build("spikformer-2-64", InputSpec(3, 16, 10), dim=32, num_heads=2, **overrides)
    x = torch.rand(3, 3, 16, 16)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
            nn.init.constant_(module.bias, 0.4)
    with torch.no_grad():
        model.train()(x)
    return model.eval(), x


@pytest.mark.parametrize("residual", ["add", "membrane", "xor"])
@pytest.mark.parametrize("stem", ["sps", "scs"])
def test_what_is_told_is_what_would_be_read(residual: str, stem: str, deaf: Callable[[], None]) -> None:
    model, x = lively(residual=residual, stem=stem)
    told = count(model, x)
    deaf()
    read = count(model, x)
    assert told.total("events") > 0
    for one, other in zip(rows(told), rows(read), strict=True):
        assert one.equals(other)


def test_spikes_are_not_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = lively()
    reads: list[str] = []
    for name in ("firing", "spikes"):
        real = getattr(loops, name)
        monkeypatch.setattr(loops, name, lambda *args, real=real, name=name: (reads.append(name), real(*args))[1])
    count(model, x)
    assert "firing" not in reads
    assert len(reads) <= 4  # what a pool makes of them


class Changing(SpikingNeuron):
    """Drops a sample's spikes after its kernel has counted them."""

    def __init__(self, view: bool) -> None:
        super().__init__()
        self.view = view

    def fire(self, x: Tensor) -> Tensor:
        spikes = lif(x)
        (spikes.view(-1)[: spikes.numel() // 2] if self.view else spikes[:, 0]).zero_()
        return spikes


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode, torch.enable_grad])
@pytest.mark.parametrize("view", [False, True])
def test_spikes_that_were_changed_since_are_read(view: bool, mode: Any) -> None:
    neuron = Changing(view)
    x = torch.full((2, 3, 4, 5), 3.0)
    with mode():
        spikes = neuron(x)
        analysis = count(neuron, x)
    assert analysis.neurons()["spikes"].tolist() == [int(spikes.sum())]
    assert 0 < spikes.sum() < spikes.numel()


def test_half_of_the_spikes_is_read(deaf: Callable[[], None]) -> None:
    """A convolution of a part: what is known of the whole says nothing."""

    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.neuron = build("spikformer-2-64").stem.stages[0].neuron
            self.conv = nn.Conv2d(2, 3, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(self.neuron(x)[:, :, :2].flatten(0, 1))

    torch.manual_seed(0)
    model, x = Parts(), torch.randn(4, 2, 4, 6, 6).add_(1)
    told = count(model, x)
    deaf()
    assert told.to_pandas().equals(count(model, x).to_pandas())
