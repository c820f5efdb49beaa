"""What a metric means is kept with results, for who reads them without the code that declares it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikebench.core import metrics, own_files
from spikebench.core.metrics import Metric, catalogue, foreign, headline, learn, metric
from spikebench.core.own_files import OwnFiles
from spikebench.core.shapes import check

OWN = Metric("weight_norm", "1", "lower", "measured", "Norm of weights", display_unit="%", display_factor=100, headline=70)
HARNESS = f"""
from spikebench.core.metrics import Metric

class Harness:
    metrics, version, needs_weights, exclusive, resumes = ({OWN!r},), 1, False, False, False

    def run(self, subject, options):
        yield None
"""


@pytest.fixture(autouse=True)
def nothing_learned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(metrics, "_learned", {})
    before = own_files.in_use()
    yield
    own_files.use(before)


@pytest.fixture(params=["listed", "named"])
def declared(request: pytest.FixtureRequest, tmp_path: Path) -> list[dict[str, Any]]:
    """What is stored while a suite's own harness is in use, read back; the file is gone by then."""
    path = tmp_path / "norm.py"
    path.write_text(HARNESS)
    own_files.use(OwnFiles(**{request.param: (path,)}))
    found = json.loads(json.dumps(foreign()))
    own_files.use(OwnFiles())
    path.unlink()
    return found  # type: ignore[no-any-return]


def test_what_others_declare_is_known_again_without_their_code(declared: list[dict[str, Any]]) -> None:
    check("sources", {"metrics": declared})
    assert OWN.name not in catalogue()
    learn(declared)
    assert metric(OWN.name) == OWN
    assert headline()[-1] == OWN.name


def test_our_own_need_not_be_stored() -> None:
    assert foreign() == []


def test_a_harness_that_cannot_be_loaded_stops_nobody_else(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("class Harness:\n    metrics = ()\nraise RuntimeError\n")
    (tmp_path / "norm.py").write_text(HARNESS)
    own_files.use(OwnFiles(listed=(tmp_path / "broken.py", tmp_path / "norm.py")))
    assert [one["name"] for one in foreign()] == [OWN.name]


def test_code_that_is_here_knows_better() -> None:
    here = metric("accuracy")
    learn([dataclasses.asdict(dataclasses.replace(here, title="Something else"))])
    assert metric("accuracy") == here


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"name": "a"},
        {"direction": "up"},
        {"title": ["a"]},
        {"display_factor": 0},
        {"display_factor": float("inf")},
        {"digits": 10**9},
        {"tolerance": -1},
    ],
)
def test_what_is_no_declaration_is_passed_over(wrong: dict[str, Any]) -> None:
    learn([{**dataclasses.asdict(OWN), **wrong} if len(wrong) and "name" not in wrong else wrong])
    assert OWN.name not in catalogue()
    assert "a" not in catalogue()
