"""What stands in a results folder beside the records is checked when it is read; what is wrong is left out and named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from spikebench.core.errors import InputError, StorageError
from spikebench.core.shapes import check
from spikebench.core.store import ResultsFolder
from spikebench.reading.model.frame import load_results
from spikebench.reading.model.suite_facts import SuiteFacts

FORMATS = Path(__file__).parents[1] / "formats"
NO_CHOICE = {"a": 1, "b": 2}


def cell(**changes: Any) -> dict[str, Any]:
    whole = json.loads(next((FORMATS / "schema_2/cells").iterdir()).read_text())
    return {**whole, **changes}


def test_what_was_ever_written_fits() -> None:
    for folder in FORMATS.glob("schema_*"):
        store = ResultsFolder(folder)
        assert store.cells()
        assert store.machines()
        assert store.sources()
        assert store.notices == []


SPLIT: dict[str, Any] = {"dataset": "a", "split": "train", "samples": 3, "inputs": {"channels": 3, "size": 8, "classes": 4}}


@pytest.mark.parametrize(
    ("kind", "facts"),
    [
        ("cells", {"variant": {}}),
        *(("cells", cell(variant=value)) for value in ([], None, 3, {"T": []}, {"T": 10**400}, {"stem": 3}, {"stem": NO_CHOICE})),
        *(("cells", cell(group_id=value)) for value in (None, 3, [])),
        *(("cells", cell(seed=value)) for value in (None, "0", [0], 1.5, True, 10**400)),
        *(("cells", cell(**{key: value})) for key in ("dataset", "training", "pretraining") for value in (3, [], NO_CHOICE)),
        ("cells", cell(training={"name": "train", "lr": float("inf")})),
        ("cells", cell(weights=["a"])),
        ("machines", {"gpus": "H100"}),
        ("machines", {"gpus": [None]}),
        ("machines", {"cpu": {}}),
        ("machines", {"threads": []}),
        ("sources", {"commit": ["a"]}),
        ("sources", {"plugins": ["a"]}),
        *(("datasets", {**SPLIT, key: value}) for key in SPLIT for value in (None, [], -1)),
        *(("datasets", {**SPLIT, "inputs": {**SPLIT["inputs"], "classes": value}}) for value in (None, "4", 1.5)),
        *(("datasets", {key: value for key, value in SPLIT.items() if key != lost}) for lost in SPLIT),
    ],
)
def test_a_wrong_shape_is_an_error_that_names_its_key(kind: str, facts: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"cannot be the|no (group_id|dataset|split|samples|inputs) in it"):
        check(kind, facts)


def test_nesting_is_no_way_out() -> None:
    deep: Any = "x"
    for _ in range(5000):
        deep = [deep]
    with pytest.raises(ValueError, match="deep"):
        check("cells", {"group_id": "g", "weights": {"a": deep}})


def test_keys_of_tomorrow_may_hold_anything() -> None:
    check("cells", cell(colour=[{"deep": [None]}]))


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: [", "suite.yaml:1:5"),
        ("just words", "suite.yaml:1:1"),
        ("suite: [1]\n", "suite.yaml:1:1: suite:"),
        ("suite: x\nenergy: 3\n", "suite.yaml:2:1: energy:"),
        ("suite: x\nenergy: [3]\n", "suite.yaml:2:1: energy:"),
        ("suite: x\nreport: [markdown]\n", "suite.yaml:2:1: report:"),
        ("suite: x\nreport: {formats: {a: 1}}\n", "suite.yaml:2:10: report.formats:"),
        ("suite: x\nreport: {columns: latency}\n", "suite.yaml:2:10: report.columns:"),
        ("suite: x\ncheck: 5%\n", "suite.yaml:2:1: check:"),
        ("suite: x\nvariants: 3\n", "suite.yaml:2:1: variants:"),
        ("suite: x\nvariants: {grid: [stem]}\n", "suite.yaml:2:12: variants.grid:"),
        ("suite: x\nvariants: {grid: {stem: 3}}\n", "suite.yaml:2:19: variants.grid.stem:"),
        ("suite: x\nvariants: {grid: {stem: [3]}}\n", "suite.yaml:2:19: variants.grid.stem:"),
    ],
)
def test_a_stored_suite_of_the_wrong_shape_is_one_error_with_its_place(text: str, place: str) -> None:
    with pytest.raises(InputError) as caught:
        SuiteFacts.parse(text)
    assert str(caught.value).startswith(place)


@pytest.mark.parametrize("harm", [lambda path: path.write_bytes(b"suite: \xff\n"), lambda path: path.mkdir()])
def test_a_suite_that_cannot_be_read_is_one_error_with_its_file(tmp_path: Path, harm: Any) -> None:
    ResultsFolder(tmp_path).create()
    harm(tmp_path / "suite.yaml")
    with pytest.raises(StorageError, match=r"suite\.yaml: cannot be read"):
        load_results(tmp_path)
