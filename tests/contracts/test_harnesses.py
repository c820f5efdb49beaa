"""Every registered harness keeps the contract, on a network of a thousand parameters."""

from collections.abc import Mapping
from typing import Any

import pytest

from spikebench.core.metrics import catalogue
from spikebench.core.registry import REGISTRIES
from spikebench.harnesses._latency import heat
from spikebench.testing import HarnessContract

QUICK: Mapping[str, Mapping[str, Any]] = {
    "train": {"epochs": 2, "batch_size": 16},
    "pretrain": {"epochs": 2, "batch_size": 16},
    "accuracy": {"T": [1, 3]},
    "pretraining_cost": {"batch_size": 4, "steps": 1},
    "probe": {"labels": [4, None]},
    "audit": {"checks": ["batch_invariance", "activity", "declared"], "samples": 2},
    "knn": {"labels": [4, None], "k": 3},
    "activity": {"samples": 4},
    "loader": {"seconds": 0.01},
    "latency": {"batch_sizes": [1, 2], "modes": ["eager"], "seconds": 0.01},
    "memory": {"batch_sizes": [2]},
    "work": {"batch_sizes": [2], "phases": ["inference", "training"]},
    "power": {"batch_sizes": [2], "seconds": 0.05},
    "kernel": {"shapes": [[2, 1, 4, 2, 2]], "backends": ["torch", "spikingjelly"], "seconds": 0.01},
}


@pytest.mark.parametrize("member", REGISTRIES["harnesses"].names())
class TestHarnesses(HarnessContract):
    @pytest.fixture(autouse=True)
    def _chosen(self, member: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(heat, "WINDOW_SECONDS", 0.002)
        assert member in QUICK, f"{member}: give it options here with which it takes a second, so that its contract is tested"
        self.name, self.options = member, QUICK[member]


def test_no_metric_is_declared_with_two_meanings() -> None:
    assert {"accuracy", "epoch_loss", "epoch_accuracy"} <= set(catalogue())
