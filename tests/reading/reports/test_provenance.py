"""What a report says of where its numbers come from."""

from __future__ import annotations

import json

from spikebench.reading.model import provenance
from spikebench.reading.model.frame import load_results
from spikebench.reading.reports.document import Code
from spikebench.reading.reports.sections.provenance import Section


def told(folder):
    table, *codes = Section()(load_results(folder))
    return {row.cells[0].text: row.cells[1].text for row in table.rows}, codes


def test_everything_that_is_needed_to_do_it_again(grid, store):
    folder = store(grid)
    lines = [
        {"time": "2026-11-28T08:00:00+0000", "event": "run", "pending": 8},
        {"time": "2026-11-28T08:00:05+0000", "event": "failed", "job_id": "j"},
        {"time": "2026-11-28T08:03:20+0000", "event": "ended", "seconds": 200.4},
    ]
    (folder / "log.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\nnot json\n")
    facts, (suite,) = told(folder)
    assert facts["data"] == "digits: 1,258 train, 180 validation, 359 test images of 1x8x8, 10 classes"
    assert facts["training"] == "epochs 12; effective batch 64"
    for words in ("batch size 64", "lr 0.001", "weight decay 0.06", "crop scale 1 and 1", "stop on none"):
        assert words in facts["training, at its defaults"]
    assert "(" not in facts["training, at its defaults"]
    assert facts["precision of training"] == "fp32"
    assert facts["seeds"] == "0, 1, 2"
    assert facts["date"] == "2026-11-28 08:00 UTC; 3 min 20 s in all"
    assert facts["machines"] == "AMD EPYC 7763, 1 thread, 2 cores"
    assert "spikebench 0.1.0, commit abcdef1234567890" in facts["source"]
    assert facts["to repeat it"] == "spikebench run suite.yaml"
    assert isinstance(suite, Code)
    assert suite.text == (folder / "suite.yaml").read_text()


def test_options_that_differ_are_all_named_and_a_killed_run_has_no_duration(make_cell, store):
    cells = [{**make_cell(seed), "training": {"name": "train", "epochs": 3 + seed}} for seed in (0, 1)]
    folder = store(cells)
    (folder / "log.jsonl").write_text(json.dumps({"time": "yesterday", "event": "run"}) + "\n")
    facts, _ = told(folder)
    assert "epochs 3, 4" in facts["training"]
    assert facts["date"] == "yesterday"
    with (folder / "log.jsonl").open("a") as log:
        log.write(json.dumps({"time": "2026-11-28T09:00:00+0100", "event": "run"}) + "\n")
        log.write(json.dumps({"event": "ended", "seconds": 5}) + "\n")
    facts, _ = told(folder)
    assert facts["date"] == "yesterday; 2 commands, the last one 2026-11-28 08:00 UTC; 5 s in the 1 that ended"


def test_what_is_not_known_here_is_said_and_nothing_trained_has_no_recipe(make_cell, store):
    cells = [{**make_cell(0, dataset="of-a-package-that-is-not-here"), "training": None}]
    facts, _ = told(store(cells))
    assert facts["data"] == "of-a-package-that-is-not-here (not known here)"
    assert "training" not in facts


def test_a_batch_of_several_passes_is_told_as_one():
    assert provenance.effective({"batch_size": 32, "accumulate": 4}) == {"effective_batch": 128}
