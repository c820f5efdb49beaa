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
PROTOCOL = {"window": 0.5, "alone": False}
HEADER = {"suite": "s", "machine_id": "m", "source_id": "c", **PROTOCOL}


def trace(path: Path, spread: float, n: int = 80, seconds: float = 8.0) -> Calibration:
    """Pairs whose second process is ``spread`` off, each of its turns alike, on a machine that changes its speed all the time."""
    found = Calibration.begin(path, HEADER)
    rng = np.random.default_rng(1)
    for _ in range(n):
        machine = 0.01 * np.exp(rng.normal(0, 0.3, 5))
        found.add({KEY: list(machine)}, {KEY: list(machine * math.exp(rng.normal(0, spread)))}, seconds)
    return found


def five(key: Key, base: float) -> float:
    return math.log1p(0.05)


def test_what_is_kept_is_read_back_and_gone_on_with_after_a_torn_line(tmp_path: Path) -> None:
    path = Calibration.at(tmp_path, "s", "m")
    first = trace(path, 0.01, 30)
    whole = path.read_text()
    path.write_text(whole + '{"seconds": 3.0, "pai')
    again = Calibration.begin(path, HEADER)
    assert again.medians == first.medians
    assert again.differences == first.differences
    again.add({KEY: [0.02]}, {KEY: [0.04], Key(1, "latency"): [1.0]}, 1.0)
    read = Calibration.read(path)
    assert len(read.seconds) == 31
    assert read.medians[KEY][-2:] == [0.02, 0.04]
    assert read.differences[KEY][-1] == pytest.approx(math.log(2))
    assert set(read.medians) == {KEY}  # what one of the two could not measure says nothing of a pair
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
        ('{"kind": "calibration", "schema": 1}\n', ":1: has schema 1; this version reads 2"),
        ('{"kind": "calibration", "schema": 2}\n{"seconds": 1}\n{}\n', ":2: is no line"),
        ('{"kind": "calibration", "schema": 2}\n{"seconds": 1, "pair": [[0, "latency", {}, [], [1]]]}\n', ":2: is no line"),
        ('{"kind": "calibration", "schema": 2}\n{"seconds": 1, "pair": [[0, "latency", {}, [0.0], [1]]]}\n', ":2: is no line"),
        ('{"kind": "calibration", "schema": 2}\nnonsense\n', ":2: is no line"),
    ],
)
def test_a_damaged_trace_names_file_and_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text(text)
    with pytest.raises(StorageError, match=words):
        Calibration.read(path)


def test_the_gate_goes_by_a_trace_of_its_protocol_that_is_long_enough(tmp_path: Path) -> None:
    trace(Calibration.at(tmp_path, "s", "m"), 0.01, 25)
    assert Calibration.find(tmp_path, "s", "m", PROTOCOL) is not None
    for other in ({"window": 1.0}, {"alone": True}):
        assert Calibration.find(tmp_path, "s", "m", {**PROTOCOL, **other}) is None
    assert Calibration.find(tmp_path, "s", "other", PROTOCOL) is None
    trace(Calibration.at(tmp_path, "short", "m"), 0.01, 5)
    assert Calibration.find(tmp_path, "short", "m", PROTOCOL) is None


def test_pairs_follow_the_noise_and_a_tolerance_that_cannot_be_held_is_refused(tmp_path: Path) -> None:
    quiet, loud = trace(tmp_path / "q", 0.014), trace(tmp_path / "l", 0.085)
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
    assert "of 80 pairs" in line


def test_the_evaluation_tells_a_quiet_machine_from_a_loud_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "DECISIONS", 60)
    rows = []
    for name, spread in (("q", 0.014), ("l", 0.085)):
        document = evaluation(trace(tmp_path / name, spread, 220), five, {0: "cell"})
        (table,) = document.tables()
        rows.append(dict(zip([column.key for column in table.columns], table.rows[0].cells, strict=True)))
    quiet, loud = rows
    assert quiet["noise"].value == pytest.approx(0.014, rel=0.2)
    assert quiet["false_alarms"].value == 0
    assert quiet["pairs"].value == 30
    assert quiet["smallest"].value <= 0.05
    assert loud["pairs"].value > 30
    few = evaluation(trace(tmp_path / "few", 0.01, 5), five, {0: "cell"})
    assert not list(few.tables())
    assert "10 pairs or more" in str(few.blocks)


def test_every_line_is_on_the_disk_before_the_next_pair_starts(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    found = Calibration.begin(path, HEADER)
    found.add({KEY: [0.01, 0.02]}, {KEY: [0.03]}, 2.0)
    lines = path.read_text().splitlines()
    assert json.loads(lines[1]) == {"seconds": 2.0, "pair": [[0, "latency", {"batch_size": "1"}, [0.01, 0.02], [0.03]]]}
