"""A counted network is as it was: whatever its mode, its buffers and its exceptions."""

from __future__ import annotations

import random
from collections import deque
from contextlib import nullcontext
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebench.activity import count


class Leaky(nn.Module):
    """A membrane in a buffer, replaced at every call, as snnTorch keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mem", torch.zeros(0), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if self.mem.shape != x.shape:
            self.mem = torch.zeros_like(x)
        self.mem = 0.9 * self.mem + x
        spikes = (self.mem >= 1).to(x)
        self.mem = self.mem - spikes
        return spikes


@dataclass
class Store:
    tensors: list[Tensor] = field(default_factory=lambda: [torch.zeros(2)])
    calls: int = 0


class Restless(nn.Module):
    """Changes everything of its own that a module can."""

    def __init__(self, error: bool) -> None:
        super().__init__()
        self.error = error
        self.register_buffer("replaced", torch.zeros(2))
        self.register_buffer("written", torch.zeros(2))
        self.register_buffer("resized", torch.zeros(2))
        self.attribute, self.view = torch.zeros(2), torch.zeros(4)[1:3]
        self.none, self.number = None, 1
        self.tensors, self.by_name, self.queue, self.names = [torch.zeros(2)], {"a": torch.zeros(2)}, deque([1], maxlen=3), {"a"}
        self.pair = (torch.zeros(2), torch.zeros(2))
        self.store, self.generator = Store(), torch.Generator().manual_seed(3)
        self.weight, self.clamped, self.frozen = (nn.Parameter(torch.full((2,), 5.0)) for _ in range(3))
        self.swapped, self.trained = nn.Parameter(torch.full((2,), 5.0)), nn.Parameter(torch.full((2,), 5.0))
        self.trained.grad = torch.ones(2)
        self.unlisted = [nn.BatchNorm1d(2)]
        self.bn, self.drop, self.inner = nn.BatchNorm1d(2), nn.Dropout(), nn.Linear(2, 2)
        self.frozen.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        self.replaced, self.attribute = self.replaced + 1, self.attribute + 1
        self.written.add_(1)
        self.resized.resize_(50).fill_(2)
        self.view.add_(1)
        self.none, self.number, self.new = x, self.number + 1, x
        self.tensors[0] += 1
        self.tensors.append(x)
        self.by_name["b"] = self.by_name.pop("a").add_(1)
        self.queue.append(2)
        self.names.add("b")
        self.pair[0].add_(1)
        self.store.tensors[0].add_(1)
        self.store.calls += 1
        self.clamped.data.clamp_(max=1)
        self.swapped.data = self.swapped.data.sign()
        self.weight = nn.Parameter(self.weight.detach() * 2)
        self.frozen.requires_grad_(True)
        with torch.enable_grad():
            (self.trained * x.detach()).sum().backward()
        self.register_buffer("late", x)
        self.inner = nn.Identity()
        self.eval()
        self.bn.train()
        y = self.unlisted[0](self.bn(F.dropout(x, 0.5) + torch.rand(2, generator=self.generator)))
        self.register_forward_hook(lambda module, args, out: out)
        random.random()
        np.random.rand()
        if self.error:
            raise ValueError("half-way")
        return y


def everything(model: nn.Module) -> dict[str, object]:
    """What can be asked of it: identities of what it holds, values, modes, gradients."""
    found: dict[str, object] = {}
    for name, module in [*model.named_modules(), *((f"unlisted{i}", m) for i, m in enumerate(getattr(model, "unlisted", ())))]:
        for key, value in vars(module).items():
            found[f"{name}.{key}"] = id(value)
            for inner, part in (
                value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
            ):
                found[f"{name}.{key}.{inner}"] = id(part)
    store = getattr(model, "store", Store())
    tensors = {
        **dict(model.named_parameters()),
        **dict(model.named_buffers()),
        **{f"grad of {name}": p.grad for name, p in model.named_parameters()},
        **{f"{name}.{key}": value for name, module in model.named_modules() for key, value in vars(module).items()},
        **{f"{key}{i}": part for key in ("tensors", "pair") for i, part in enumerate(getattr(model, key, ()))},
        **{f"unlisted.{key}": value for module in getattr(model, "unlisted", ()) for key, value in module.state_dict().items()},
        **getattr(model, "by_name", {}),
        "stored": store.tensors[0],
    }
    for name, tensor in tensors.items():
        if isinstance(tensor, Tensor):
            found[f"value of {name}"] = (tensor.tolist(), tensor.requires_grad, tensor.untyped_storage()._cdata)
    if hasattr(model, "queue"):
        found["others"] = (list(model.queue), model.names, store.calls, model.generator.get_state().tolist(), list(model.by_name))
    return {
        **found,
        "torch": torch.get_rng_state().tolist(),
        "python": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),
    }


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode", "enable_grad"])
@pytest.mark.parametrize("error", [False, True])
@pytest.mark.parametrize("training", [False, True])
def test_everything_is_put_back(mode: str, error: bool, training: bool) -> None:
    torch.manual_seed(0)
    model = Restless(error).train(training)
    model.drop.train(not training)
    x = torch.rand(3, 2)
    before = everything(model)
    # torch has no gradients in inference mode.
    raised = ValueError if error and mode != "inference_mode" else RuntimeError if mode == "inference_mode" else None
    with getattr(torch, mode)(), pytest.raises(raised) if raised else nullcontext():
        count(model, x)
    changed = {name: (before.get(name), now) for name, now in everything(model).items() if before.get(name) != now}
    assert not changed
    assert set(everything(model)) == set(before)


def test_the_test_sees_what_a_restless_module_changes() -> None:
    model = Restless(False)
    before = everything(model)
    model(torch.rand(3, 2))
    changed = {name for name, now in everything(model).items() if before.get(name) != now}
    assert len(changed) > 40


@pytest.mark.parametrize("training", [False, True])
def test_a_frozen_and_an_unfrozen_part(training: bool) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.BatchNorm2d(4)).train(not training)
    model[1].train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    count(model, torch.rand(2, 3, 8, 8))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model.modules()] == [not training, not training, training, not training]


@pytest.mark.parametrize("training", [False, True])
def test_a_membrane_in_a_buffer_counts_the_same_each_time(training: bool) -> None:
    model = nn.Sequential(nn.Linear(4, 6, bias=False), Leaky(), nn.Linear(6, 2, bias=False)).train(training)
    with torch.no_grad():
        model[0].weight.fill_(0.15)
    found = [count(model, torch.ones(3, 4), neurons=(Leaky,)).total() for _ in range(3)]
    assert found == [72, 72, 72]


def test_spikingjelly_s_memories_are_those_of_before() -> None:
    from spikingjelly.activation_based import layer, neuron

    model = nn.Sequential(layer.Linear(4, 6), neuron.LIFNode(), layer.Linear(6, 2), neuron.ParametricLIFNode())
    x = torch.rand(3, 4) * 3
    rest = count(model, x).to_pandas()
    model(x)
    before = [model[1].v, model[3].v]
    values = [v.clone() for v in before]
    for _ in range(2):
        assert count(model, x).to_pandas().equals(rest)
    assert all(a is b for a, b in zip((model[1].v, model[3].v), before, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(before, values, strict=True))


def test_parameters_are_copied_only_if_they_are_written_to() -> None:
    from spikebench.activity.state import _Kept

    kept = _Kept()
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    kept.look(model)
    assert len(kept._copies) == 3  # mean, variance, batches
    kept.before(torch.ops.aten.mul_.Tensor, (model[0].weight.detach(), torch.ones(())), {})
    kept.before(torch.ops.aten.add_.Tensor, (torch.ones(4), model[0].bias), {})
    assert len(kept._copies) == 4
