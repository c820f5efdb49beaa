"""What ``run --plan`` guesses, by the training's own steps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from spikebench.core import yaml_nodes
from spikebench.core.suite_reader import from_document
from spikebench.running.jobs import rules
from spikebench.running.run.estimate import estimate
from spikebench.running.run.runner import bind
from spikebench.training.loop import Training

SUITE = """
suite: plan
dataset: {random: {channels: 2, size: 8, classes: 3, samples: 10, events: true, T: 3}}
variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 3}}
seeds: [0, 1]
train: {epochs: 5, batch_size: 4, amp: bf16}
measure: [memory]
"""


def guesses(text: str, folder: Path) -> list[Any]:
    suite = from_document(yaml_nodes.parse(text), rules)
    return list(estimate(bind(suite, folder).plan, 1).cells.values())


def test_event_frames_are_timed_by_the_trainings_own_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def time_steps(self: Training, count: int) -> list[float]:
        shapes = []
        loss = self.objective
        self.objective = lambda model, x, y: (
            shapes.append((tuple(x.shape), torch.is_autocast_enabled("cpu"))) or loss(model, x, y)
        )
        real(self, count)
        seen.append((self.device.type, self.precision, shapes))
        return [3.0, 2.0]

    real = Training.time_steps
    monkeypatch.setattr(Training, "time_steps", time_steps)
    found = guesses(SUITE, tmp_path / "plan")
    # One timing for two seeds: (T, B, channels, size, size), in bfloat16 as the suite says, on the job's device.
    assert seen == [("cpu", "bf16", [((3, 4, 2, 8, 8), True)] * 2)]
    # 10 samples in batches of 4 are 3 steps an epoch.
    assert [guess.seconds for guess in found] == [2.0 * 3 * 5] * 2


def test_the_jobs_device_is_where_steps_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    seen = []

    class SeenError(Exception):
        pass

    def to(self: torch.nn.Module, device: torch.device) -> None:
        seen.append(device.type)
        raise SeenError

    monkeypatch.setattr(torch.nn.Module, "to", to)
    with pytest.raises(SeenError):
        guesses(SUITE + "device: cuda\n", tmp_path / "plan")
    assert seen == ["cuda"]


def test_no_epochs_take_no_time(tmp_path: Path) -> None:
    assert [guess.seconds for guess in guesses(SUITE.replace("epochs: 5", "epochs: 0"), tmp_path / "plan")] == [0.0, 0.0]
