"""Series over commits: where they changed, that a confirmed change stays quiet, and what is kept of a commit."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from spikebench.core.errors import InputError, StorageError
from spikebench.core.store import ResultsFolder
from spikebench.reading.gate.history import CLOSE, history
from spikebench.reading.gate.history_document import document
from spikebench.reading.gate.summaries import Row, Summary
from spikebench.running.verbs.history import read, write

SPEED, COUNT = Row("sps", "latency{batch_size=1}", "m"), Row("sps", "parameters")


def name(place: int) -> str:
    return f"{place:040x}"


def commits(n: int = 40, at: int = 25, factor: float = 1.1, count_at: int | None = None) -> list[Summary]:
    rng = np.random.default_rng(5)
    return [
        Summary(
            name(place), "2026-01-01", f"commit {place}", "s",
            {SPEED: 0.01 * (factor if place >= at else 1) * float(np.exp(rng.normal(0, 0.01))), COUNT: 7 + (place == count_at)},
        )
        for place in range(n)
    ]  # fmt: skip


def test_the_commit_that_made_it_slower_is_named_and_a_faster_one_is_no_alarm() -> None:
    (change,) = history(commits()).news
    assert (change.row, change.commit.subject, change.worse) == (SPEED, "commit 25", True)
    assert change.point.change == pytest.approx(0.1, abs=0.01)
    faster = history(commits(factor=0.9))
    assert [change.worse for change in faster.changes] == [False]
    assert faster.news == []


def test_counts_that_repeat_exactly_change_at_once_and_back() -> None:
    found = history(commits(factor=1.0, count_at=39))
    assert [(change.row, change.place) for change in found.news] == [(COUNT, 39)]
    back = history(commits(factor=1.0, count_at=20))
    assert sorted((change.place, change.worse) for change in back.changes) == [(20, True), (21, False)]


def test_a_confirmed_change_stays_quiet_when_more_commits_move_it_a_little(tmp_path: Path) -> None:
    some = commits()
    assert [change.place for change in history(some, tmp_path).confirm(name(25)[:40], tmp_path)] == [25]
    assert history(some, tmp_path).news == []
    later = [*some[:24], *(dataclasses.replace(one, values={**one.values, SPEED: 0.0111}) for one in some[24:26]), *some[26:]]
    moved = history(later, tmp_path)
    assert abs(moved.changes[0].place - 25) <= CLOSE
    assert moved.news == []
    again = [*some, *(dataclasses.replace(one, commit=name(100 + i), values={SPEED: one.values[SPEED] * 1.3})
                      for i, one in enumerate(some[-15:]))]  # fmt: skip
    assert [change.place for change in history(again, tmp_path).news] == [40]


def test_confirming_nothing_is_said(tmp_path: Path) -> None:
    found = history(commits(), tmp_path)
    for given, words in (("ffff", "is not in this history"), (name(2)[:20], "names several"), (name(3), "nothing changed at")):
        with pytest.raises(InputError, match=words):
            found.confirm(given, tmp_path)
    (tmp_path / "confirmed.jsonl").write_text("{}\n")
    with pytest.raises(StorageError, match=r"confirmed.jsonl:1: is no confirmation"):
        history(commits(), tmp_path)


def test_suites_are_not_mixed_and_gaps_are_left_out() -> None:
    some = commits(8)
    with pytest.raises(InputError, match="of s, t"):
        history([*some, dataclasses.replace(some[0], suite="t")])
    gap = [*some[:3], dataclasses.replace(some[3], values={COUNT: 7}), *some[4:]]
    assert next(one for one in history(gap).series if one.row == SPEED).places == (0, 1, 2, 4, 5, 6, 7)


def test_terminal_html_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = history(commits(count_at=39))
    paths = write(found, ["terminal", "html", "json"], tmp_path)
    printed = capsys.readouterr().out
    assert "2 changes for the worse" in printed
    assert name(25)[:8] in printed
    page = paths[0].read_text()
    assert page.count("<svg") == 2
    data = json.loads(paths[1].read_text())
    (slow,) = (one for one in data["series"] if one["metric"] == SPEED.address)
    assert len(slow["values"]) == 40
    assert slow["changes"][0]["commit"] == name(25)
    assert slow["changes"][0]["worse"] is True
    assert document(history([])).blocks
    with pytest.raises(InputError, match="did you mean 'html'"):
        write(found, ["htm"], tmp_path)


def test_a_summary_is_read_back_and_formats_of_others_too(tmp_path: Path) -> None:
    (one,) = commits(1)
    assert Summary.read(one.write(tmp_path)) == one
    (tmp_path / "b.json").write_text('{"sps ssa": {"latency": {"value": 0.5, "lower_value": 0.4}}}')
    assert Summary.read(tmp_path / "b.json").values == {Row("sps ssa", "latency"): 0.5}
    (tmp_path / "g.json").write_text('[{"name": "sps ssa latency", "unit": "s", "value": 2}]')
    assert Summary.read(tmp_path / "g.json").values == {Row("sps ssa", "latency"): 2.0}
    for text in ("nonsense", "3", '{"a": 1}', '[{"name": 1}]', '{"schema": 1}'):
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(StorageError, match="is no summary of results"):
            Summary.read(tmp_path / "x.json")


def test_git_keeps_a_folders_history_and_each_commit_is_read_once(
    store, make_cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    from spikebench.running.verbs import history as verb

    root = tmp_path / "project"
    folder = root / "results" / "reference"
    root.mkdir()

    def git(*words: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", str(root), *who, *words], check=True, capture_output=True)

    git("init", "-q")
    shutil.copytree(store([make_cell()]), folder)
    for word, factor in (("one", 1), ("two", 2)):
        for path in (folder / "jobs").glob("*.jsonl"):
            lines = [json.loads(line) for line in path.read_text().splitlines()]
            for line in lines:
                if line.get("metric") == "parameters":
                    line["value"] *= factor
            path.write_text("".join(json.dumps(line) + "\n" for line in lines))
        git("add", "-A")
        git("commit", "-qm", word)
    found, kept = read([folder], True, tmp_path / "store")
    assert [one.subject for one in found.commits] == ["one", "two"]
    assert {change.commit.subject for change in found.news} == {"two"}
    assert all(change.row.address == "parameters" for change in found.news)
    assert len(list(kept.glob("*.json"))) == 2
    monkeypatch.setattr(verb, "load_results", lambda *_: pytest.fail("read again"))
    assert read([folder], True, tmp_path / "store")[0].commits == found.commits
    assert ResultsFolder(folder).require()


def test_what_is_no_history_is_one_clear_message(tmp_path: Path) -> None:
    for folders, git, words in (([], False, "a history of what"), ([tmp_path], True, "lies in no git repository")):
        with pytest.raises(InputError, match=words):
            read(folders, git, tmp_path / "store")
    with pytest.raises(InputError, match="follows one folder"):
        read([tmp_path, tmp_path], True, tmp_path / "store")
