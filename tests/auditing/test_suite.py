"""`suites/audit.yaml` asks every preset; what an audit measured is read back as it was."""

import dataclasses
from pathlib import Path

import pytest
import yaml

from spikebench.core.findings import Detail, Finding
from spikebench.core.registry import REGISTRIES
from spikebench.core.suite_reader import load
from spikebench.harnesses.audit import records_of
from spikebench.reading.model.findings import findings_of
from spikebench.reading.reports.audits import blocks
from spikebench.running.jobs import rules

SUITE = Path(__file__).parents[2] / "suites" / "audit.yaml"
FOUND = [
    Finding("activity", "fail", "it never fires", 2, "layers", "blocks.0", (Detail("a", "t=0", 0.5), Detail("a", "t=1", 0.0))),
    Finding("causality", "not applicable", "one step", details=()),
    Finding("layout", "could not tell", "it broke off: why"),
    Finding("memory", "pass", "nothing is kept", 0, "bytes"),
]


def test_every_preset_is_in_the_suite_and_can_be_built():
    grid = yaml.safe_load(SUITE.read_text())["variants"]["grid"]
    assert set(grid["preset"]) == set(REGISTRIES["presets"])
    assert load(SUITE, rules).cells


def test_findings_survive_being_records():
    records = [record for found in FOUND for record in records_of(found)]
    assert findings_of(records) == FOUND
    addresses = [(record.metric, record.scope, tuple(record.conditions.items())) for record in records]
    assert len(set(addresses)) == len(addresses)


def test_of_several_seeds_the_worst_is_shown():

    good = [
        dataclasses.replace(record, cell_id="b") for record in records_of(Finding("activity", "pass", "all fire", 0, "layers"))
    ]
    assert findings_of([*good, *records_of(FOUND[0])]) == [FOUND[0]]


@pytest.mark.parametrize("audits", [{}, {"one": []}, {"one": FOUND}, {"one": FOUND, "two": FOUND[:2]}])
def test_blocks_of_any_audits(audits):
    tables = blocks(audits)
    assert len(tables) == (2 if any(audits.values()) else 0)
    if tables:
        assert {row.cells[0].text for row in tables[1].rows} == {"activity", "layout"}
