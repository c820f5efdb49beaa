"""Event files are read back with TensorBoard's own reader."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from spikebench import data
from spikebench.core.errors import InputError
from spikebench.training.loop import Training
from spikebench.training.options import TrainingOptions
from spikebench.training.whole import train

SMALL = {"random": {"channels": 1, "size": 8, "classes": 4, "samples": 24}}


def make() -> Training:
    torch.manual_seed(0)
    options = TrainingOptions(epochs=4, batch_size=8, tensorboard=True)
    return Training(nn.Sequential(nn.Flatten(), nn.Linear(64, 4)), data.load(SMALL), options, seed=0, device=torch.device("cpu"))


def test_every_epoch_is_there_once_over_a_restart(tmp_path: Path) -> None:
    running = train(make(), tmp_path, "me")
    next(running), next(running)
    running.close()
    epochs = list(train(make(), tmp_path, "me"))
    read = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in read.Scalars("training_loss")] == [
        (epoch.number, pytest.approx(epoch.training_loss)) for epoch in epochs
    ]
    assert [event.value for event in read.Scalars("accuracy")] == pytest.approx([epoch.accuracy for epoch in epochs])
    assert "test_accuracy" not in read.Tags()["scalars"]


def test_without_tensorboard_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match=r"tensorboard: .*pip install 'spikebench\[tensorboard\]'"):
        next(train(make(), tmp_path, "me"))
