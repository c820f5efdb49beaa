"""The harness `train`: its records, and that a job's record set does not depend on kills."""

import math
from pathlib import Path

import pytest
import torch

from spikebench.core.choice import Choice
from spikebench.core.records import Record, Selector, label
from spikebench.harnesses._files import METRICS
from spikebench.harnesses.train import Harness
from spikebench.testing import make_subject

CHOICE = Choice("train", {"epochs": 3, "batch_size": 8, "lr": 0.004})
TIMES = {"epoch_seconds", "epoch_throughput", "epoch_memory", "epoch_peak_memory"}


def run(folder: Path, choice: Choice = CHOICE, stop_after: int | None = None, **subject: object) -> list[Record]:
    running = Harness().run(make_subject(folder, choice, **subject), choice.resolve("harnesses"))
    records = []
    for record in running:
        records.append(record)
        if len(records) == stop_after:
            running.close()
    return records


def untimed(records: list[Record]) -> dict[str, float | None]:
    return {label(record): record.value for record in records if record.metric not in TIMES}


def test_records_of_every_epoch(tmp_path: Path) -> None:
    records = run(tmp_path)
    rates = [record.value for record in records if record.metric == "learning_rate"]
    assert rates == pytest.approx([0.004, (0.004 + 1e-5) / 2, 1e-5])  # the warm-up's last step, half of the cosine, all of it
    of_files = {metric.name for metric in METRICS}
    for metric in Harness.metrics:
        found = [record for record in records if record.metric == metric.name and not record.scope]
        if metric.name == "best_epoch" or metric.name in of_files:  # not asked for, and no files are read
            assert not found
            continue
        assert len(found) == (1 if metric.name == "first_step_loss" else 3)
        assert all(record.status == "ok" and record.unit == metric.unit for record in found)
    assert Selector.parse("epoch_accuracy{epoch=3}").one(records).conditions == {"epoch": 3, "precision": "fp32"}
    first = Selector.parse("first_step_loss").one(records)
    assert first.value == pytest.approx(math.log(4), abs=0.5)
    throughput = Selector.parse("epoch_throughput{epoch=2}").one(records)
    assert throughput.value == pytest.approx(24 / Selector.parse("epoch_seconds{epoch=2}").one(records).value)


@pytest.mark.parametrize("stop_after", [1, 4, 7, 13, 19])
def test_stopped_anywhere_it_yields_the_same_record_set(tmp_path: Path, stop_after: int) -> None:
    undisturbed = run(tmp_path / "undisturbed")
    assert len(run(tmp_path / "stopped", stop_after=stop_after)) == stop_after
    again = run(tmp_path / "stopped")
    assert list(untimed(again).items()) == list(untimed(undisturbed).items())
    assert len(again) == len(undisturbed)
    weights = [torch.load(tmp_path / name / "weights.pt", weights_only=True) for name in ("undisturbed", "stopped")]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_the_job_owns_its_checkpoint(tmp_path: Path) -> None:
    """Another training in the same folder neither takes it up nor removes it."""
    run(tmp_path, stop_after=9)
    (begun,) = tmp_path.glob("checkpoint-*.pt")
    other = Choice("train", {"epochs": 4, "batch_size": 8})
    last = Selector.parse("epoch_loss{epoch=4}")
    assert last.one(run(tmp_path, other)).value == last.one(run(tmp_path / "alone", other)).value
    assert begun.exists()


def test_no_epochs(tmp_path: Path) -> None:
    records = run(tmp_path, Choice("train", {"epochs": 0, "batch_size": 8}))
    assert [label(record) for record in records] == ["first_step_loss{precision=fp32}"]
    assert records[0].value == Selector.parse("first_step_loss").one(run(tmp_path / "other")).value
    untouched = make_subject(tmp_path, CHOICE).model.state_dict()
    stored = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert all(torch.equal(stored[name], untouched[name]) for name in untouched)


def test_bf16_is_told_apart(tmp_path: Path) -> None:
    records = run(tmp_path, Choice("train", {"epochs": 1, "batch_size": 24, "amp": "bf16"}))
    assert {record.conditions["precision"] for record in records} == {"bf16"}
    weights = torch.load(tmp_path / "weights.pt", weights_only=True)
    assert {value.dtype for value in weights.values() if value.is_floating_point()} == {torch.float32}


def test_it_learns(tmp_path: Path) -> None:
    """Not timing, not luck: on 1,258 digits a tiny spiking network is far above chance after five epochs."""
    choice = Choice("train", {"epochs": 5, "batch_size": 32, "lr": 0.01})
    records = run(tmp_path, choice, dataset=Choice("digits"))
    assert Selector.parse("epoch_accuracy{epoch=5}").one(records).value > 0.5
    assert Selector.parse("epoch_loss{epoch=5}").one(records).value < Selector.parse("epoch_loss{epoch=1}").one(records).value
