"""Exports hold every record."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from spikebench.core.errors import InputError
from spikebench.reading.model.export import export
from spikebench.reading.model.frame import Frame, load_results

STORED = Path(__file__).parents[2] / "formats" / "schema_1"


@pytest.fixture(scope="module")
def frame() -> Frame:
    return load_results(STORED)


@pytest.mark.parametrize(("name", "read"), [("a.parquet", pd.read_parquet), ("a.csv", pd.read_csv)])
def test_every_record_and_value_is_there(frame: Frame, tmp_path: Path, name: str, read: object) -> None:
    table = read(export(frame, tmp_path / name))  # type: ignore[operator]
    assert len(table) == len(frame)
    assert list(table["metric"]) == [record.metric for record in frame.records]
    stored = [record.value for record in frame.records]
    assert [None if pd.isna(value) else value for value in table["value"]] == pytest.approx(stored, nan_ok=True)


def test_another_ending_is_refused(frame: Frame, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\.parquet or \.csv"):
        export(frame, tmp_path / "a.xlsx")
