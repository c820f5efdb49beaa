"""One driver a folder: on this host, on another one, after a death, and where the file system cannot lock."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from spikebench.core import lock
from spikebench.core.errors import StorageError
from spikebench.core.process import start_of, this_process

HOLD = "import sys, time; sys.path[:0] = {path!r}\nfrom pathlib import Path\nfrom spikebench.core.lock import alone\n" + (
    "with alone(Path({folder!r}), 'spikebench run'):\n    print('held', flush=True)\n    time.sleep(600)\n"
)


def hold(folder: Path) -> subprocess.Popen[str]:
    code = HOLD.format(path=sys.path, folder=str(folder))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def write(folder: Path, host: str, pid: int, start: int, age: float = 0.0) -> Path:
    path = folder / lock.FILE
    path.write_text(json.dumps({"host": host, "pid": pid, "start": start, "verb": "spikebench run", "since": 1.75e9}))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_a_second_driver_is_told_who_is_there_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    process = hold(tmp_path)
    with (
        pytest.raises(StorageError, match=rf"in use by `spikebench run`, process {process.pid} on .*, since 20"),
        lock.alone(tmp_path, "x"),
    ):
        pass
    holder = lock.holder_of(tmp_path)
    assert holder is not None
    assert holder.process.pid == process.pid
    process.kill()
    process.wait()
    assert lock.holder_of(tmp_path) is None
    with lock.alone(tmp_path, "x") as notices:
        assert notices == []


def test_it_ends_with_its_block_and_is_not_entered_twice(tmp_path: Path) -> None:
    with lock.alone(tmp_path, "x"), pytest.raises(StorageError, match="in use by"), lock.alone(tmp_path, "x"):
        pass
    assert lock.holder_of(tmp_path) is None
    with lock.alone(tmp_path, "x"):
        assert lock.holder_of(tmp_path) is not None


def test_an_error_inside_is_not_taken_for_the_locks(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), lock.alone(tmp_path, "x"):
        (tmp_path / "nothing").read_text()


@pytest.mark.parametrize(("age", "free"), [(5.0, False), (10 * lock.SILENCE, True)])
def test_another_hosts_driver_is_believed_while_it_touches_the_file(tmp_path: Path, age: float, free: bool) -> None:
    write(tmp_path, "elsewhere", 1, 1, age)
    assert (lock.holder_of(tmp_path) is None) is free
    if free:
        with lock.alone(tmp_path, "x"):
            pass
    else:
        with pytest.raises(StorageError, match="process 1 on elsewhere"), lock.alone(tmp_path, "x"):
            pass
    assert [path.name for path in tmp_path.iterdir()] == [lock.FILE]


def test_where_nothing_can_be_locked_the_files_word_counts_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    host, parent = this_process().host, os.getppid()
    write(tmp_path, host, parent, start_of(parent) or 0)
    with pytest.raises(StorageError, match=f"process {parent}"), lock.alone(tmp_path, "x"):
        pass
    # The same number, another process: it began at another time.
    write(tmp_path, host, parent, (start_of(parent) or 0) + 1)
    with lock.alone(tmp_path, "x") as notices:
        assert "no locks" in notices[0]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"pid": 1}', '{"host": 1, "pid": "x", "start": [], "verb": 0, "since": 1e999}', "\x00"]
)
def test_a_damaged_lock_holds_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / lock.FILE).write_text(text)
    assert lock.holder_of(tmp_path) is None
    with lock.alone(tmp_path, "x"):
        pass


def test_a_folder_in_its_place_is_one_message(tmp_path: Path) -> None:
    (tmp_path / lock.FILE).mkdir()
    with pytest.raises(StorageError, match=r"running.lock: a folder stands where a file is needed"), lock.alone(tmp_path, "x"):
        pass
    assert lock.holder_of(tmp_path) is None


def test_the_holder_touches_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "BEAT", 0.01)
    with lock.alone(tmp_path, "x"):
        path = tmp_path / lock.FILE
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 30
        while path.stat().st_mtime < 1e9 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime > 1e9
