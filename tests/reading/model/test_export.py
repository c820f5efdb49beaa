"""Exports hold every record."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from spikebench.core.errors import InputError
from spikebench.core.records import Record
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


def test_no_text_is_a_formula_to_a_spreadsheet(tmp_path: Path) -> None:
    evil = ["=cmd|' /C calc'!A0", "+1+cmd", "-2+3", "@SUM(1)", "plain"]
    records = [Record("events", None, "1", status="failed", reason=text, cell_id="c") for text in evil]
    cells = {"c": {"cell_id": "c", "group_id": "g", "variant": {"stem": "=x"}, "seed": 0}}
    table = pd.read_csv(export(Frame([*records, Record("events", -5, "1", cell_id="c")], cells), tmp_path / "a.csv"))
    assert [text for text in table["reason"] if isinstance(text, str)] == [*(f"'{text}" for text in evil[:4]), "plain"]
    assert set(table["stem"]) == {"'=x"}
    assert table["value"].iloc[-1] == -5
