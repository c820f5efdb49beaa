"""One fresh process of a side: ended with this one, however that ends, and its answer read."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from spikebench.core.errors import InputError, SpikebenchError
from spikebench.core.process import Process, this_process
from spikebench.running.pairs.sides import Side

CHILD = Path(__file__).with_name("_child.py")
PREFIX = "spikebench-pairs-"
GRACE = 5.0


class SideFailedError(SpikebenchError):
    """A side's process ended without an answer: nothing can be said of its speed (exit 4, some cells failed)."""

    exit_code = 4


def ask(side: Side, order: Mapping[str, Any], roots: list[Path], scratch: Path) -> dict[str, Any]:
    """Run a child on this side and return its answer. Its standard error comes with the message where it dies.

    Raises InputError for what the child finds wrong (a suite that does not load on its side), SideFailedError where it dies.
    """
    number = len(list(scratch.glob("*.order")))
    path = scratch / f"{number}.order"
    whole = {
        **order, "text": side.text, "suite": str(side.suite), "folder": str(side.folder), "roots": list(map(str, roots)),
    }  # fmt: skip
    path.write_text(json.dumps(whole), encoding="utf-8")
    with (scratch / f"{number}.log").open("w+b") as log:
        process = subprocess.Popen(
            [side.python, "-P", str(CHILD), str(path)], stdin=subprocess.PIPE, stdout=log, stderr=log, env=side.environment()
        )
        try:
            process.wait()
        finally:
            end(process)
        log.seek(0)
        said = log.read().decode("utf-8", "replace").strip().splitlines()
    answer_file = path.with_suffix(".answer")
    if not answer_file.is_file():
        code = process.returncode
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        raise SideFailedError(f"{side.name}: its process {how} without an answer{': ' + said[-1] if said else ''}")
    answer: dict[str, Any] = json.loads(answer_file.read_text(encoding="utf-8"))
    if "error" in answer:
        raise InputError(f"{side.name}: {side.suite} cannot be measured there: {answer['error']}")
    return answer


def end(process: subprocess.Popen[bytes]) -> None:
    """See that it is gone."""
    for stop in (process.terminate, process.kill):
        if process.poll() is None:
            stop()
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                continue
    if process.stdin is not None:
        process.stdin.close()


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """A temporary folder that goes with the block; those that killed processes left behind go first.

    SIGTERM inside the block is a KeyboardInterrupt, so that it cleans up too.
    """
    base = Path(tempfile.gettempdir())
    for left in base.glob(f"{PREFIX}*"):
        owner = _owner(left)
        if owner is not None and owner.alive is False:
            shutil.rmtree(left, ignore_errors=True)
    folder = base / f"{PREFIX}{this_process()}.{time.monotonic_ns()}"
    folder.mkdir(mode=0o700)
    with _ended_by_sigterm():
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _owner(folder: Path) -> Process | None:
    try:
        return Process.parse(folder.name.removeprefix(PREFIX).rpartition(".")[0])
    except ValueError:
        return None


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
