"""The loader against the step, on a data set that is known to be slow."""

import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.data import Dataset

from spikebench.core.choice import Choice
from spikebench.core.records import Record
from spikebench.harnesses import loader
from spikebench.testing import make_subject

WAIT = 0.004


class Slow(Dataset[Any]):
    """Not in memory, and every sample takes its time."""

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        time.sleep(WAIT)
        return torch.rand(1, 8, 8), torch.tensor(index % 4)


def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: Dataset[Any] | None) -> dict[str, Record]:
    subject = make_subject(tmp_path, Choice("loader"))
    if split is not None:
        monkeypatch.setattr(subject.dataset, "split", lambda name: split)
    before = {name: value.clone() for name, value in subject.model.state_dict().items()}
    found = {record.metric: record for record in loader.Harness().run(subject, loader.Harness.Options(seconds=0.2))}
    assert all(torch.equal(value, before[name]) for name, value in subject.model.state_dict().items())
    return found


def test_a_loader_is_as_slow_as_its_samples_and_the_step_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measured(tmp_path, monkeypatch, Slow())
    values = {name: record.value for name, record in found.items()}
    assert all(isinstance(value, float) for value in values.values())
    assert values["loader_throughput"] <= 1 / WAIT
    assert values["loader_headroom"] == pytest.approx(values["loader_throughput"] / values["step_throughput"])
    assert found["loader_throughput"].conditions == found["step_throughput"].conditions
    assert max(found["loader_throughput"].samples or [0]) <= 1 / WAIT


def test_throughput_is_images_over_seconds_of_all_batches() -> None:
    assert loader._pooled([(64, 0.5), (32, 0.25), (4, 0.25)]) == 100.0
