"""Results folders of every schema version that was ever written can still be read; they are kept here as they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikebench.core.job_files import SCHEMA
from spikebench.core.store import ResultsFolder
from spikebench.reading.model.frame import load_results
from spikebench.reading.reports.report import document

HERE = Path(__file__).parent


def test_there_is_a_folder_for_every_version() -> None:
    assert sorted(path.name for path in HERE.glob("schema_*")) == [f"schema_{version}" for version in range(1, SCHEMA + 1)]


@pytest.mark.parametrize("version", range(1, SCHEMA + 1))
def test_a_stored_folder_is_read(version: int) -> None:
    store = ResultsFolder(HERE / f"schema_{version}")
    frame = load_results(store.path)
    assert not frame.notices
    assert len(frame.cells) == 2
    assert [file.header["schema"] for file in store.job_files()] == [version] * 6
    assert all(file.done for file in store.job_files())
    accuracies = {(r.conditions["T"], frame.cells[r.cell_id]["seed"]): r.value for r in frame.by_metric["accuracy"]}
    assert accuracies.keys() == {(1, 0), (2, 0), (1, 1), (2, 1)}
    assert all(isinstance(value, float) and 0 <= value <= 1 for value in accuracies.values())
    power = frame.by_metric["power"][0]
    assert power.status == "unavailable"
    assert "RAPL" in power.reason
    assert document(frame).blocks
