"""Processes that we start ourselves: one job with the identity and records of one device; a death ends all, with the reason."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from spikebench.core.choice import Choice
from spikebench.core.records import label
from spikebench.harnesses.train import Harness
from spikebench.testing import make_subject
from spikebench.training.devices import processes
from spikebench.training.group import Group

TIMES = {"epoch_seconds", "epoch_throughput", "epoch_memory", "epoch_peak_memory"}


def _fate(group: Group, tell: Callable[[Any], None], folder: Path, fate: str) -> None:
    tell(group.rank)
    if group.rank == 1:
        if fate == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        raise ValueError("what it said")
    group.sum(torch.zeros(1))  # waits for the other one
    (folder / "went on").touch()


@pytest.mark.parametrize(
    ("fate", "error", "message"),
    [
        ("killed", RuntimeError, r"process 1 of 2 was killed \(SIGKILL\); the others were ended"),
        ("raises", ValueError, "what it said"),
    ],
)
def test_one_that_dies_ends_the_others_and_says_why(tmp_path: Path, fate: str, error: type[Exception], message: str) -> None:
    told = []
    with pytest.raises(error, match=message):
        told.extend(processes(_fate, (tmp_path, fate), 2, "cpu"))
    assert set(told) <= {0, 1}
    assert not (tmp_path / "went on").exists()


def test_two_devices_are_the_same_job_and_leave_the_same_kinds_of_records(tmp_path: Path) -> None:
    records, weights = [], []
    for devices in (1, 2):
        choice = Choice("train", {"epochs": 2, "batch_size": 8, "lr": 0.004, "devices": devices, "best_epoch": "keep"})
        folder = tmp_path / str(devices)
        subject = make_subject(folder, choice)
        assert choice.canonical("harnesses") == Choice("train", {"epochs": 2, "batch_size": 8, "lr": 0.004}).canonical(
            "harnesses"
        )
        found = list(Harness().run(subject, choice.resolve("harnesses")))
        records.append({label(record): record.value for record in found if record.metric not in TIMES and not record.scope})
        weights.append(torch.load(folder / "weights.pt", weights_only=True))
        assert sorted(path.name for path in folder.iterdir()) == ["best.pt", "weights.pt"]
    assert records[0].keys() == records[1].keys()
    first = "first_step_loss{precision=fp32}"
    assert records[0][first] == pytest.approx(records[1][first], rel=1e-5)
    for name, value in weights[0].items():  # in single precision a membrane may cross its threshold by rounding
        assert weights[1][name].shape == value.shape
        torch.testing.assert_close(weights[1][name].float(), value.float(), rtol=0.3, atol=0.05)
