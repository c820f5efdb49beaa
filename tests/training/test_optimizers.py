"""Optimizers are torch's, without what torch keeps its compiler out of them by."""

from __future__ import annotations

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import nn

from spikebench.training.optimizers import eager

KINDS = [(torch.optim.AdamW, {"weight_decay": 0.1, "fused": True}), (torch.optim.SGD, {"momentum": 0.9, "fused": True})]


def trained(kind: Any, options: dict[str, Any], stop: int = 6) -> tuple[nn.Linear, torch.optim.Optimizer]:
    torch.manual_seed(0)
    model = nn.Linear(4, 3)
    optimizer = kind(model.parameters(), lr=0.1, **options)
    for step in range(stop):
        optimizer.zero_grad()
        model(torch.full((2, 4), float(step))).square().sum().backward()
        optimizer.step()
    return model, optimizer


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=["adamw", "sgd"])
def test_they_compute_what_torchs_do(kind: Any, options: dict[str, Any]) -> None:
    model, optimizer = trained(eager(kind), options)
    theirs, there = trained(kind, options)
    assert torch.equal(model.weight, theirs.weight)
    assert isinstance(optimizer, kind)
    assert not any(parameter.grad.requires_grad for parameter in model.parameters())
    first, second = optimizer.state_dict(), there.state_dict()
    assert first["param_groups"] == second["param_groups"]
    for one, other in zip(first["state"].values(), second["state"].values(), strict=True):
        assert all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize(("kind", "options"), KINDS, ids=["adamw", "sgd"])
def test_a_state_goes_on_in_another_one(kind: Any, options: dict[str, Any]) -> None:
    whole, _ = trained(eager(kind), options, stop=6)
    model, optimizer = trained(eager(kind), options, stop=3)
    state = copy.deepcopy(optimizer.state_dict())
    resumed = kind(model.parameters(), lr=0.1, **options)
    resumed.load_state_dict(state)
    for step in range(3, 6):
        resumed.zero_grad()
        model(torch.full((2, 4), float(step))).square().sum().backward()
        resumed.step()
    assert torch.equal(model.weight, whole.weight)


LOADS = """
import sys, torch
from spikebench.core.variant import VariantSpec
from spikebench.data import load
from spikebench.networks import build
from spikebench.training.loop import Training
from spikebench.training.options import TrainingOptions

data = load("digits")
model = build(VariantSpec(depth=1, dim=16, num_heads=2, T=1), data.inputs)
training = Training(model, data, TrainingOptions(epochs=1, batch_size=256), seed=0, device=torch.device("cpu"))
training.time_steps(1)
loaded = {name for name in ("torch._dynamo", "sympy", "sklearn", "pandas") if name in sys.modules}
assert not loaded, loaded
"""


def test_a_training_loads_neither_torchs_compiler_nor_a_library_for_a_file_of_its() -> None:
    done = subprocess.run([sys.executable, "-c", LOADS], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
