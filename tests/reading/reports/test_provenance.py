"""What a report says of where its numbers come from."""

from __future__ import annotations

import json

import pytest

from spikebench.core.records import Record
from spikebench.core.store import ResultsFolder
from spikebench.reading.model import provenance
from spikebench.reading.model.chance import Signs
from spikebench.reading.model.frame import load_results
from spikebench.reading.reports.document import Code
from spikebench.reading.reports.sections import comparison
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
    assert facts["data"] == "of-a-package-that-is-not-here (its size was not kept, and it is not known here)"
    assert "training" not in facts


def test_splits_of_files_that_are_elsewhere_are_those_that_jobs_have_read(make_cell, store):
    pets = {"name": "folder", "content": "ab12", "size": 16, "split": "70/10/20"}
    folder = store([make_cell(0, dataset=pets), make_cell(0)])
    results = ResultsFolder(folder)
    for split, samples in (("train", 1400), ("test", 400)):
        facts = {"dataset": pets, "split": split, "samples": samples, "inputs": {"channels": 3, "size": 16, "classes": 4}}
        results.put_facts("datasets", f"a-{split}", facts)
    facts, _ = told(folder)
    of_digits, of_pets = sorted(facts["data"].split("; "))
    assert of_pets == "folder(content=ab12, size=16, split=70/10/20): 1,400 train, 400 test images of 3x16x16, 4 classes"
    assert of_digits.startswith("digits: 1,258 train, ")
    # Four classes are known by it too, and so what guessing reaches; of the ten of digits a quarter is more than that.
    right = [1] * 100 + [0] * 300
    for cell_id, chance in ((make_cell(0, dataset=pets)["cell_id"], True), (make_cell(0)["cell_id"], False)):
        record = Record("accuracy", 0.25, "1", samples=right, cell_id=cell_id)
        assert bool(Signs(load_results(folder)).chance([record])) == chance
    (folder / "datasets" / "a-test.json").write_text("{")
    assert "1,400 train images of 3x16x16" in told(folder)[0]["data"]


def test_a_batch_of_several_passes_is_told_as_one():
    assert provenance.effective({"batch_size": 32, "accumulate": 4}) == {"effective_batch": 128}


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"training": {"name": "train", "epochs": 3}}, "after the last epoch"),
        ({"training": {"name": "train", "best_epoch": "use"}}, "after the epoch that was best on validation"),
        ({"training": "train", "weights": {"path": "a.pth"}}, "after the last epoch"),
        ({"training": {"name": "train", "epochs": 0}}, "not trained here"),
        ({"training": None, "weights": {"path": "a.pth"}}, "with the given weights, not trained here"),
        ({"training": None, "pretraining": {"name": "pretrain"}}, "pre-trained and not trained further"),
        ({"training": None}, "not trained here"),
    ],
)
def test_an_accuracy_says_which_weights_it_is_of(make_cell, make_frame, facts, said):
    (table,) = comparison.Section()(make_frame([{**make_cell(0), **facts}]))
    (note,) = [text for text in table.footnotes if text.startswith("Accuracy: ")]
    assert note.endswith(f"; {said}.")


def test_weights_that_differ_are_all_named(make_cell, make_frame):
    cells = [make_cell(0, stem="sps"), {**make_cell(0, stem="scs"), "training": None}]
    frame = make_frame(cells)
    assert provenance.weights_measured(frame, frame.cells) == "after the last epoch or not trained here"
