"""What a job has read of its data set is kept in the results folder, once, and as it was read last."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

from spikebench.core.cells import Cell, Job
from spikebench.core.choice import Choice
from spikebench.core.store import ResultsFolder
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.running.jobs.noted import Noted
from spikebench.running.jobs.subject import Subject


class Grown:
    """A data set of one's own that has more samples each time that it is read."""

    inputs = InputSpec(2, 8, 4, events=True, T=3)

    def __init__(self) -> None:
        self.samples = 10

    def split(self, name: str) -> list[int]:
        self.samples += 1
        return list(range(self.samples))


def kept(folder: Path) -> dict[tuple[str, str], Any]:
    return {(facts["dataset"], facts["split"]): facts for facts in ResultsFolder(folder).datasets().values()}


def test_sizes_are_kept_by_split_as_they_were_last(tmp_path: Path) -> None:
    noted = Noted(Grown(), Choice("digits"), ResultsFolder(tmp_path))
    assert kept(tmp_path) == {}
    assert len(noted.split("train")) == 11
    noted.split("test")
    inputs = {"channels": 2, "size": 8, "classes": 4, "events": True}
    assert kept(tmp_path)["digits", "train"] == {"dataset": "digits", "split": "train", "samples": 11, "inputs": inputs}
    assert kept(tmp_path)["digits", "test"]["samples"] == 12
    noted.split("train")
    assert kept(tmp_path)["digits", "train"]["samples"] == 13


def test_it_is_the_data_set_itself_in_all_else(tmp_path: Path) -> None:
    grown: Any = Grown()
    noted = Noted(grown, Choice("digits"), ResultsFolder(tmp_path))
    assert noted.inputs is grown.inputs
    assert not hasattr(noted, "files")
    grown.files = lambda name: [1, 2, 3]
    assert noted.files("train") == [1, 2, 3]
    assert kept(tmp_path)["digits", "train"]["samples"] == 3


def test_a_job_notes_in_its_folder_and_in_other_processes_and_a_look_at_weights_notes_nothing(tmp_path: Path) -> None:
    job = Job(Cell(VariantSpec(), Choice("digits"), None, 0), Choice("accuracy"))
    Subject(job, tmp_path / "weights" / "c").dataset.split("test")
    assert kept(tmp_path) == {}
    subject = Subject(job, tmp_path / "weights" / "c", results=tmp_path)
    pickle.loads(pickle.dumps(subject)).dataset.split("test")
    assert {split: facts["samples"] for (_, split), facts in kept(tmp_path).items()} == {"test": 359}
