"""A machine's trace: kept line by line, taken up again, and what the gate promises by it."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from spikebench.core.errors import InputError, StorageError
from spikebench.derived.paired_rule import PairedRule
from spikebench.reading.gate.calibration import Calibration
from spikebench.reading.gate.timed import Key
from spikebench.running.verbs import calibrate
from spikebench.running.verbs.calibrate import evaluation

KEY = Key(0, "latency", (("batch_size", "1"),))
HEADER = {"suite": "s", "machine_id": "m", "source_id": "c", "window": 0.5}


def trace(path: Path, spread: float, n: int = 80, seconds: float = 4.0) -> Calibration:
    found = Calibration.begin(path, HEADER)
    rng = np.random.default_rng(1)
    for _ in range(n):
        found.add({KEY: 0.01 * math.exp(rng.normal(0, spread))}, seconds)
    return found


def five(key: Key, base: float) -> float:
    return math.log1p(0.05)


def test_what_is_kept_is_read_back_and_gone_on_with_after_a_torn_line(tmp_path: Path) -> None:
    path = Calibration.at(tmp_path, "s", "m")
    first = trace(path, 0.01, 30)
    whole = path.read_text()
    path.write_text(whole + '{"seconds": 3.0, "med')
    again = Calibration.begin(path, HEADER)
    assert again.medians == first.medians
    again.add({KEY: 0.02}, 1.0)
    assert len(Calibration.read(path).seconds) == 31
    assert path.read_text().startswith(whole)


def test_a_trace_of_other_code_is_not_gone_on_with(tmp_path: Path) -> None:
    path = Calibration.at(tmp_path, "s", "m")
    trace(path, 0.01, 1)
    with pytest.raises(InputError, match="another source_id, window"):
        Calibration.begin(path, {**HEADER, "source_id": "d", "window": 1.0})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ":1: is not the header"),
        ("[]\n", ":1: is not the header"),
        ('{"kind": "calibration", "schema": 9}\n', ":1: has schema 9"),
        ('{"kind": "calibration", "schema": 1}\n{"seconds": 1}\n{}\n', ":2: is no line"),
        ('{"kind": "calibration", "schema": 1}\nnonsense\n', ":2: is no line"),
    ],
)
def test_a_damaged_trace_names_file_and_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(text)
    with pytest.raises(StorageError, match=words):
        Calibration.read(path)


def test_the_gate_goes_by_a_trace_of_its_window_that_is_long_enough(tmp_path: Path) -> None:
    trace(Calibration.at(tmp_path, "s", "m"), 0.01, 25)
    assert Calibration.find(tmp_path, "s", "m", 0.5) is not None
    assert Calibration.find(tmp_path, "s", "m", 1.0) is None
    assert Calibration.find(tmp_path, "s", "other", 0.5) is None
    trace(Calibration.at(tmp_path, "short", "m"), 0.01, 5)
    assert Calibration.find(tmp_path, "short", "m", 0.5) is None


def test_pairs_follow_the_noise_and_a_tolerance_that_cannot_be_held_is_refused(tmp_path: Path) -> None:
    quiet, loud = trace(tmp_path / "q", 0.01), trace(tmp_path / "l", 0.06)
    assert quiet.rule(five, None, 3) == PairedRule()
    wanted = loud.rule(five, None, 3)
    assert wanted.most > PairedRule().most
    assert wanted.detectable(loud.spread(KEY), five(KEY, 1.0)) <= five(KEY, 1.0)
    assert loud.rule(five, 12.0 * wanted.most, 3) == wanted
    with pytest.raises(
        InputError, match=r"latency\{batch_size=1\}: a tolerance of 0.05 .* takes \d+ rounds of 12.0 s.*hold"
    ) as error:
        loud.rule(five, 12.0 * 31, 3)
    assert "31 rounds hold" in str(error.value)
    with pytest.raises(InputError, match="however long it takes"):
        loud.rule(lambda key, base: 1e-6, None, 3)


def test_what_can_be_found_is_said_before_anything_is_measured(tmp_path: Path) -> None:
    (line,) = trace(tmp_path / "q", 0.01).before(PairedRule(), five, {0: "stem=sps"})
    assert line.startswith("stem=sps latency{batch_size=1}: 10 to 30 rounds find slow-downs from ")
    assert "of 80 processes" in line


def test_the_evaluation_tells_a_quiet_machine_from_a_loud_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "DECISIONS", 60)
    rows = []
    for name, spread in (("q", 0.01), ("l", 0.06)):
        document = evaluation(trace(tmp_path / name, spread, 220), five, {0: "cell"})
        (table,) = document.tables()
        rows.append(dict(zip([column.key for column in table.columns], table.rows[0].cells, strict=True)))
    quiet, loud = rows
    assert quiet["noise"].value == pytest.approx(0.01 * math.sqrt(2), rel=0.2)
    assert quiet["false_alarms"].value == 0
    assert quiet["pairs"].value == 30
    assert quiet["smallest"].value <= 0.05
    assert loud["pairs"].value > 30
    few = evaluation(trace(tmp_path / "few", 0.01, 5), five, {0: "cell"})
    assert not list(few.tables())
    assert "20 processes or more" in str(few.blocks)


def test_every_line_is_on_the_disk_before_the_next_process_starts(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    found = Calibration.begin(path, HEADER)
    found.add({KEY: 0.01}, 2.0)
    lines = path.read_text().splitlines()
    assert json.loads(lines[1]) == {"seconds": 2.0, "medians": [[0, "latency", {"batch_size": "1"}, 0.01]]}
