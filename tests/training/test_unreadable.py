"""Images that cannot be read: left out of whichever split they are in, counted, recorded, and too many end the job."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.records import Record
from spikebench.data import _folders
from spikebench.harnesses import accuracy, train
from spikebench.testing import make_subject
from spikebench.testing.files import write_images
from spikebench.training.loop import Training

CHOICE = Choice("train", {"epochs": 2, "batch_size": 8, "warmup_epochs": 0})


@pytest.fixture(params=[True, False], ids=["in memory", "file by file"])
def _held(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if not request.param:
        monkeypatch.setattr(_folders, "RESIDENT_BYTES", 0)
    _folders._loaded.cache_clear()
    yield
    _folders._loaded.cache_clear()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    images = write_images(tmp_path / "images", {"train": 6, "val": 4, "test": 4}, classes=4)
    for name in ("train/class1/train5.jpg", "val/class0/val3.jpg", "val/class2/val1.jpg", "test/class3/test0.jpg"):
        path = images / name
        path.write_bytes(path.read_bytes()[:200])
    return images


def subject_of(root: Path, folder: Path, skip: float) -> object:
    return make_subject(folder, CHOICE, dataset=Choice("folder", {"root": str(root), "size": 8, "channels": 1, "skip": skip}))


def counts(records: list[Record]) -> dict[str, float]:
    found = [record for record in records if record.metric == "unreadable_samples"]
    named = [str(record.conditions["file"]) for record in found if "file" in record.conditions]
    whole = {str(record.conditions["split"]): record.value for record in found if "file" not in record.conditions}
    assert len(named) == sum(whole.values())
    return whole


@pytest.mark.usefixtures("_held")
def test_those_of_every_split_are_recorded_by_who_reads_it(root: Path, tmp_path: Path) -> None:
    subject = subject_of(root, tmp_path / "weights", 0.2)
    assert counts(list(train.Harness().run(subject, CHOICE.resolve("harnesses")))) == {"train": 1, "validation": 2}
    options = Choice("accuracy").resolve("harnesses")
    records = list(accuracy.Harness().run(subject, options))
    assert counts(records) == {"test": 1}
    assert len(next(record for record in records if record.metric == "accuracy").samples) == 15


@pytest.mark.usefixtures("_held")
@pytest.mark.parametrize(("damaged", "of"), [("val", "3 files cannot be read, more than 12.50% of 16"), ("test", "3 files")])
def test_too_many_in_validation_or_test_end_the_job(root: Path, tmp_path: Path, damaged: str, of: str) -> None:
    for path in sorted((root / damaged / "class1").iterdir())[: 1 if damaged == "val" else 2]:
        path.write_bytes(b"")
    subject = subject_of(root, tmp_path / "weights", 0.125)

    def run() -> None:
        list(train.Harness().run(subject, CHOICE.resolve("harnesses")))
        list(accuracy.Harness().run(subject, Choice("accuracy").resolve("harnesses")))

    with pytest.raises(InputError, match=rf"{of}.*option skip"):
        run()


@pytest.mark.usefixtures("_held")
def test_a_training_that_goes_on_tells_of_those_that_were_met_before(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = train.Harness().run(subject_of(root, tmp_path / "weights", 0.2), CHOICE.resolve("harnesses"))
    for record in running:
        if record.conditions.get("epoch") == 2:
            running.close()
            break
    _folders._loaded.cache_clear()
    monkeypatch.setattr(Training, "epoch", lambda *_: pytest.fail("nothing is left to train"))
    records = list(train.Harness().run(subject_of(root, tmp_path / "weights", 0.2), CHOICE.resolve("harnesses")))
    assert counts(records) == {"train": 1, "validation": 2}
