"""A search from file to winners, on networks that train in a fraction of a second."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.core.suite_reader import load
from spikebench.reading.model.frame import load_results
from spikebench.reading.model.summary import quantities, summarise
from spikebench.reading.model.trials import Trials, load_trials
from spikebench.running.jobs import rules
from spikebench.running.verbs.search import run_search

SUITE = """\
suite: tiny
dataset: digits
variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 1, attention: {name: ssa, order: kv_first}}}
train: {epochs: 1, batch_size: 256, lr: 4.0e-3}
measure: [accuracy, {activity: {samples: 8}}]
energy: [spikformer-paper]
report: {formats: []}
search:
  space:
    dim: {choice: [8, 16, 32]}
    num_heads: {choice: [1, 2]}
    attention: {choice: [ssa, softmax]}
    attention.order: {choice: [kv_first, qk_first], when: {attention: ssa}}
  objectives: [accuracy, "energy{profile=spikformer-paper}"]
  constraints: [parameters <= 15k]
  sampler: {tpe: {startup_trials: 3}}
  trials: 6
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SUITE)
    return path


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def found(tmp_path: Path) -> Trials:
    trials = load_trials(tmp_path / "results/tiny")
    assert trials is not None
    return trials


def headers(tmp_path: Path, harness: str) -> list[dict[str, Any]]:
    files = (tmp_path / "results/tiny/jobs").glob("*.jsonl")
    return [header for header in (json.loads(path.read_text().splitlines()[0]) for path in files) if header["harness"] == harness]


def search(suite: Path, tmp_path: Path) -> bool:
    return run_search(suite, tmp_path / "results")


@dataclasses.dataclass(frozen=True)
class Searched:
    folder: Path
    failed: bool
    out: str
    err: str


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """The suite above, searched once for the tests that only look."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "tiny.yaml").write_text(SUITE.replace("formats: []", "formats: [markdown, csv]"))
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        failed = search(folder / "tiny.yaml", folder)
    return Searched(folder, failed, out.getvalue(), err.getvalue())


def test_from_file_to_winners(searched: Searched) -> None:
    assert not searched.failed
    trials = found(searched.folder)
    assert len(trials.complete) == 6
    # The suite's own variant is tried first.
    assert trials.rows[0].params == {"dim": 16, "num_heads": 2, "attention": "ssa", "attention.order": "kv_first"}
    # dim 32 has more than 15,000 parameters: refused before training, so that only cells within the limit were trained.
    refused = [trial for trial in trials.rows if trial.state == "refused"]
    assert all(trial.params["dim"] == 32 and "breaks parameters <= 15k; not trained" in trial.reason for trial in refused)
    assert all(trial.params["dim"] != 32 for trial in trials.complete)
    cells = {trial.cell_id for trial in trials.complete}
    assert {header["cell_id"] for header in headers(searched.folder, "train")} == cells
    # Trials see validation; test is measured for the winners alone.
    winners = {trial.cell_id for trial in trials.front}
    assert {header["cell_id"] for header in headers(searched.folder, "accuracy")} == winners
    counted = {split: set() for split in ("validation", "test")}  # type: dict[str, set[str]]
    for header in headers(searched.folder, "activity"):
        counted[header["options"]["split"]].add(header["cell_id"])
    assert counted == {"validation": cells, "test": winners}
    assert "6 trials: 6 complete" in searched.out
    assert "Test accuracy" in searched.out
    assert "winner:" in searched.err
    report = searched.folder / "results/tiny/report"
    assert {"search_front.svg", "search_history.svg", "search_trials.csv", "report.md"} <= {
        path.name for path in report.iterdir()
    }


def test_a_winners_counts_of_validation_and_of_test_are_not_pooled(searched: Searched) -> None:
    frame = load_results(searched.folder / "results/tiny")
    columns = {q.condition("split"): records for q, records in quantities(frame).items() if q.metric == "events"}
    assert columns.keys() == {"validation", "test"}
    for trial in found(searched.folder).front:
        group_id = frame.cells[trial.cell_id]["group_id"]
        for split, records in columns.items():
            (stored,) = (
                json.loads(line)["value"]
                for path in (searched.folder / "results/tiny/jobs").glob("*.jsonl")
                if (lines := path.read_text().split("\n"))
                and (header := json.loads(lines[0]))["cell_id"] == trial.cell_id
                and header["options"].get("split") == split
                for line in lines[1:]
                if line
                and json.loads(line).get("metric") == "events"
                and json.loads(line)["scope"] == ""
                and "site" not in json.loads(line)["conditions"]
            )
            assert summarise(frame.groups[group_id], records[group_id]).values == {0: stored}
    assert not frame.remarks


def test_the_winners_suite_is_the_winners_cell_with_more_seeds(searched: Searched) -> None:
    front = found(searched.folder).front
    files = sorted((searched.folder / "results/tiny/winners").glob("*.yaml"))
    assert {path.name for path in files} == {f"trial-{trial.number}.yaml" for trial in front}
    for trial in front:
        again = load(searched.folder / f"results/tiny/winners/trial-{trial.number}.yaml", rules)
        assert again.cells[0].cell_id == trial.cell_id
        assert [cell.seed for cell in again.cells] == [0, 1, 2, 3, 4]
        assert {cell.group_id for cell in again.cells} == {again.cells[0].group_id}


def test_a_search_that_goes_on_in_a_folder_without_plans_supersedes_nothing(
    searched: Searched, suite: Path, tmp_path: Path
) -> None:
    shutil.copytree(searched.folder / "results", tmp_path / "results")
    before = load_results(tmp_path / "results/tiny")
    shutil.rmtree(tmp_path / "results/tiny/plans")
    assert not search(suite, tmp_path)
    after = load_results(tmp_path / "results/tiny")
    assert (after.cells.keys(), len(after), after.remarks) == (before.cells.keys(), len(before), ())
    assert list((tmp_path / "results/tiny/plans").iterdir())


def test_a_second_search_does_nothing_and_more_trials_go_on(searched: Searched, suite: Path, tmp_path: Path) -> None:
    shutil.copytree(searched.folder / "results", tmp_path / "results")
    before = {path.name: path.read_bytes() for path in (tmp_path / "results/tiny/jobs").glob("*.jsonl")}
    first = found(tmp_path).rows
    assert not search(suite, tmp_path)
    assert found(tmp_path).rows == first
    assert {path.name: path.read_bytes() for path in (tmp_path / "results/tiny/jobs").glob("*.jsonl")} == before
    suite.write_text(SUITE.replace("trials: 6", "trials: 8"))
    assert not search(suite, tmp_path)
    more = found(tmp_path)
    assert len(more.complete) == 8
    assert more.rows[: len(first)] == first
    # What goes on is what an undisturbed search of eight trials would have done.
    assert not run_search(suite, tmp_path / "whole")
    whole = load_trials(tmp_path / "whole/tiny")
    assert whole is not None
    assert whole.rows == more.rows


def test_the_report_of_a_folder_shows_its_search(searched: Searched, tmp_path: Path) -> None:
    from spikebench.reading.reports.report import make

    sections = ["search_trials", "search_front", "search_history", "search_importances"]
    (path, *_) = make([searched.folder / "results/tiny"], formats=["markdown"], out=tmp_path, sections=sections)
    text = path.read_text()
    assert "Pareto front" in text
    assert "Validation accuracy" in text
    assert "6 complete trials are too few; it takes 8" in text


def test_a_network_that_comes_twice_is_trained_once(suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = REGISTRIES["harnesses"].get("train")
    whole = harness.run
    trained: list[str] = []

    def counted(self: Any, subject: Any, options: Any) -> Any:
        trained.append(subject.job.cell.cell_id)
        return whole(self, subject, options)

    monkeypatch.setattr(harness, "run", counted)
    text = SUITE.replace("dim: {choice: [8, 16, 32]}", "dim: {choice: [8]}").replace(
        "num_heads: {choice: [1, 2]}\n", "T: {choice: [1]}\n"
    )
    suite.write_text(text.replace("sampler: {tpe: {startup_trials: 3}}", "sampler: random").replace("trials: 6", "trials: 9"))
    assert not search(suite, tmp_path)
    trials = found(tmp_path)
    assert len(trials.complete) == 9
    assert len(trained) == len(set(trained)) <= 3
    assert set(trained) == {trial.cell_id for trial in trials.complete}
    by_cell = {trial.cell_id: trial.values for trial in trials.complete}
    assert all(trial.values == by_cell[trial.cell_id] for trial in trials.complete)


def test_the_grid_tries_every_point_once(suite: Path, tmp_path: Path) -> None:
    text = (
        SUITE.replace("sampler: {tpe: {startup_trials: 3}}", "sampler: grid").replace("[8, 16, 32]", "[8]").replace("6\n", "50\n")
    )
    suite.write_text(text)
    assert not search(suite, tmp_path)
    trials = found(tmp_path)
    assert len(trials.rows) == len({str(trial.params) for trial in trials.rows}) == 2 * 3


def test_a_failed_cell_is_a_failed_trial_with_its_reason(
    suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    harness = REGISTRIES["harnesses"].get("activity")
    whole = harness.run

    def breaks(self: Any, subject: Any, options: Any) -> Any:
        if subject.job.cell.variant.dim == 8:
            raise MemoryError("no room for eight channels")
        return whole(self, subject, options)

    monkeypatch.setattr(harness, "run", breaks)
    assert search(suite, tmp_path)
    trials = found(tmp_path)
    failed = [trial for trial in trials.rows if trial.state == "failed"]
    assert failed
    assert all(trial.params["dim"] == 8 and trial.reason == "MemoryError: no room for eight channels" for trial in failed)
    assert len(failed) + len(trials.complete) == 6
    assert "failed: MemoryError: no room for eight channels" in capsys.readouterr().err
    # Mended, the next search makes up for them.
    monkeypatch.undo()
    assert not search(suite, tmp_path)
    assert len(found(tmp_path).complete) == 6


def test_impossible_networks_are_refused_by_the_trial(suite: Path, tmp_path: Path) -> None:
    suite.write_text(SUITE.replace("num_heads: {choice: [1, 2]}", "num_heads: {choice: [1, 3]}"))
    assert not search(suite, tmp_path)
    trials = found(tmp_path)
    refused = [trial for trial in trials.rows if trial.params.get("num_heads") == 3]
    assert all(trial.state == "refused" for trial in refused)
    assert any("cannot be divided among 3 heads" in trial.reason for trial in refused)
    assert len(trials.complete) == 6


def test_a_space_without_a_network_ends_with_the_reason(suite: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikebench.running.search.ledger.MOST_REFUSALS", 5)
    suite.write_text(SUITE.replace("15k", "15"))
    with pytest.raises(
        InputError, match=r"tiny.yaml:9:3: search.space: 5 combinations in a row were refused, the last: .* parameters"
    ):
        search(suite, tmp_path)


def test_an_ambiguous_objective_is_named_with_its_place(suite: Path, tmp_path: Path) -> None:
    suite.write_text(SUITE.replace("energy{profile=spikformer-paper}", "events@stem.*"))
    with pytest.raises(
        InputError, match=r"tiny.yaml:14:26: search.objectives\[1\]: events@stem.\* must match one record, but matches"
    ):
        search(suite, tmp_path)
    assert [trial.state for trial in found(tmp_path).rows] == ["waiting"]
    # Nothing was lost: with the objective mended, in a folder of its own, the cell would be there; here the study is another's.
    suite.write_text(SUITE)
    with pytest.raises(InputError, match="another search"):
        search(suite, tmp_path)


def test_when_the_time_is_up_no_trial_begins(suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    suite.write_text(SUITE + "  timeout: 1 ns\n")
    assert not search(suite, tmp_path)
    assert "0 of 6 trials are complete (the time is up" in capsys.readouterr().err
    assert [trial.state for trial in found(tmp_path).rows] == ["waiting"]


def test_a_suite_without_a_search_says_so(suite: Path, tmp_path: Path) -> None:
    suite.write_text(SUITE[: SUITE.index("search:")])
    with pytest.raises(InputError, match=r"tiny.yaml:1:1: has no search: block"):
        search(suite, tmp_path)
    assert not (tmp_path / "results").exists()
