"""Training with BatchNorm and LIF in one kernel: near to what it is without, and only in training."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from spikebench import data
from spikebench.core.variant import VariantSpec
from spikebench.networks import build, fused
from spikebench.training.loop import Training
from spikebench.training.options import TrainingOptions

SMALL = {"random": {"channels": 1, "size": 8, "classes": 4, "samples": 24}}


def trained(**options: Any) -> Training:
    torch.manual_seed(0)
    dataset = data.load(SMALL)
    spec = VariantSpec(depth=1, dim=16, num_heads=2, T=2)
    given = TrainingOptions(epochs=2, batch_size=8, lr=1e-3, amp="off", rate_penalty=0.1, **options)
    training = Training(build(spec, dataset.inputs), dataset, given, seed=3, device=torch.device("cpu"))
    for _ in range(given.epochs):
        training.epoch()
    return training


def test_fused_training_is_near_to_the_declared_one(monkeypatch: pytest.MonkeyPatch) -> None:
    fired: list[bool] = []
    real = fused.fire
    monkeypatch.setattr(fused, "fire", lambda norm, *rest: (fired.append(norm.training), real(norm, *rest))[1])
    plain = trained()
    assert not fired
    found, again = trained(fused="auto"), trained(fused="auto")
    assert fired
    assert all(fired), "what is validated is the network as declared"
    for one, other in zip(plain.history, found.history, strict=True):
        assert one.training_loss == pytest.approx(other.training_loss, rel=0.02)
    for name, value in found.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
        assert torch.isfinite(value).all(), name


def test_what_is_computed_again_must_be_what_was_computed() -> None:
    with pytest.raises(ValueError, match="fused must be off where activation_checkpointing is blocks"):
        TrainingOptions(fused="auto", activation_checkpointing="blocks")
