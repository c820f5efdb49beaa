"""A run brings its folder up to what the suite asks for, whatever has been lost of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from spikebench.core.errors import StorageError
from spikebench.core.lock import alone
from spikebench.running.run.runner import open_run

TINY = """
suite: tiny
dataset: digits
variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 1}}
train: none
measure: [{activity: {samples: 8}}]
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


@pytest.mark.parametrize("damage", [None, "", "{", "[]", "null", '{"a": NaN}', "[" * 20_000])
@pytest.mark.parametrize("fresh", [False, True])
def test_a_lost_or_damaged_cell_is_written_again(suite: Path, tmp_path: Path, damage: str | None, fresh: bool) -> None:
    for _ in open_run(suite, tmp_path).events():
        pass
    (cell,) = (tmp_path / "tiny/cells").iterdir()
    whole = cell.read_text()
    cell.unlink()
    if damage is not None:
        cell.write_text(damage)
    run = open_run(suite, tmp_path, fresh)
    assert len(run.plan.pending) == fresh
    for _ in run.events():
        pass
    assert cell.read_text() == whole
    assert json.loads(whole)["cell_id"] == cell.stem


def test_a_second_run_is_refused_while_the_first_one_works(suite: Path, tmp_path: Path) -> None:
    first, second = open_run(suite, tmp_path), open_run(suite, tmp_path)
    events = first.events()
    next(events)
    with pytest.raises(StorageError, match="in use by `spikebench run`"):
        list(second.events())
    events.close()
    assert list(second.events())


def test_what_another_run_has_done_since_is_not_done_again(suite: Path, tmp_path: Path) -> None:
    early = open_run(suite, tmp_path)
    list(open_run(suite, tmp_path).events())
    with early.alone():
        assert not early.plan.pending
        assert list(early.events()) == []


def test_reading_a_finished_folder_locks_nothing(suite: Path, tmp_path: Path) -> None:
    list(open_run(suite, tmp_path).events())
    with alone(tmp_path / "tiny", "spikebench run"):
        assert list(open_run(suite, tmp_path).events()) == []
