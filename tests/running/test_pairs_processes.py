"""Processes of a side: their answers, their deaths, and that none outlives what started it. The child is a stub of a few
lines."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from spikebench.core.errors import InputError
from spikebench.core.process import start_of
from spikebench.running.pairs import processes
from spikebench.running.pairs.processes import SideFailedError, ask, scratch_folder
from spikebench.running.pairs.sides import Side

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def side(tmp_path: Path) -> Side:
    return Side("first", sys.executable, (), tmp_path / "s.yaml", "suite: s", tmp_path / "base")


def child(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, body: str) -> None:
    path = tmp_path / "child.py"
    head = "import json, os, sys, time, pathlib\norder = pathlib.Path(sys.argv[1])\n"
    path.write_text(f"{head}{body}\n")
    monkeypatch.setattr(processes, "CHILD", path)


def test_an_answer_comes_back_with_what_was_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, side: Side) -> None:
    child(monkeypatch, tmp_path, "order.with_suffix('.answer').write_text(json.dumps({'got': json.loads(order.read_text())}))")
    got = ask(side, {"task": "timing"}, [tmp_path], tmp_path)["got"]
    assert got == {
        "task": "timing", "text": "suite: s", "suite": str(side.suite), "folder": str(side.folder), "roots": [str(tmp_path)],
    }  # fmt: skip
    assert ask(side, {"task": "again"}, [], tmp_path)["got"]["task"] == "again"


def test_what_the_child_finds_wrong_names_the_side_and_the_suite(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, side: Side
) -> None:
    child(monkeypatch, tmp_path, "order.with_suffix('.answer').write_text(json.dumps({'error': 's.yaml:3:1: unknown stem'}))")
    with pytest.raises(InputError, match=r"first: .*s.yaml cannot be measured there: s.yaml:3:1: unknown stem"):
        ask(side, {}, [], tmp_path)


@pytest.mark.parametrize(
    ("body", "words"),
    [("sys.exit('no more memory')", "exit code 1 .*: no more memory"), ("os.kill(os.getpid(), 9)", "ended by SIGKILL")],
)
def test_a_child_that_dies_is_told_with_its_last_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, side: Side, body: str, words: str
) -> None:
    child(monkeypatch, tmp_path, body)
    with pytest.raises(SideFailedError, match=words):
        ask(side, {}, [], tmp_path)


GATE = """
import sys
from pathlib import Path
from spikebench.running.pairs import processes
from spikebench.running.pairs.sides import Side

with processes.scratch_folder() as scratch:
    stub = scratch / "child.py"
    source = processes.CHILD.read_text()
    head, tail = source.split('if __name__ == "__main__":')
    stub.write_text(head + "import time\\n_end_with_parent()\\nprint(os.getpid(), flush=True)\\ntime.sleep(100)\\n")
    processes.CHILD = stub
    print(scratch, flush=True)
    processes.ask(Side("x", sys.executable, (), Path("s"), "", scratch / "f"), {}, [], scratch)
"""


@pytest.mark.parametrize("signal_", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_killed_half_way_nothing_is_left(tmp_path: Path, signal_: int) -> None:
    """The child's own loop ends with its parent, whatever ended that; folders of the killed are swept by the next gate."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    # A background job of a shell ignores Ctrl-C, and so would all that it starts.
    gate = subprocess.Popen(
        [sys.executable, "-c", GATE],
        stdout=subprocess.PIPE, text=True, env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert gate.stdout is not None
    scratch = Path(gate.stdout.readline().strip())
    log = scratch / "0.log"
    while not (log.is_file() and log.read_text().strip().isdigit()):
        time.sleep(0.02)
        assert gate.poll() is None
    pid = int(log.read_text())
    gate.send_signal(signal_)
    gate.wait(20)
    for _ in range(500):
        if start_of(pid) is None:
            break
        time.sleep(0.02)
    assert start_of(pid) is None
    assert scratch.exists() == (signal_ == signal.SIGKILL)


def test_folders_that_the_killed_left_go_at_the_next_start_and_no_other_ones(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(processes.tempfile, "gettempdir", lambda: str(tmp_path))
    done = subprocess.run([sys.executable, "-c", "from spikebench.core.process import this_process; print(this_process())"],
                          capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)  # fmt: skip
    dead = tmp_path / f"{processes.PREFIX}{done.stdout.strip()}.1"
    others = [tmp_path / f"{processes.PREFIX}elsewhere-1-1.1", tmp_path / f"{processes.PREFIX}odd", tmp_path / "other"]
    for folder in (dead, *others):
        folder.mkdir()
    with scratch_folder() as mine, scratch_folder() as second:
        assert mine.is_dir()
        assert second.is_dir()
        assert not dead.exists()
        assert all(folder.is_dir() for folder in others)
    assert not mine.exists()
    assert not second.exists()
