"""The real command in a process of its own that need not import torch again: it is forked from one that has.

A start of ``python -m spikebench run`` spends most of its seconds on imports that are the same each time. ``start`` has a server
(``multiprocessing``'s) import them once and fork; the child has its own memory, signals, folder and environment, and can be
killed as any process. What libraries read of the environment while they are loaded (OMP_NUM_THREADS, ATEN_CPU_CAPABILITY) is the
server's: where such a variable, or the start itself, is what a test is about, it wants ``python -m spikebench``.
"""

from __future__ import annotations

import atexit
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.context import ForkServerProcess
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[1])
AT_LOADING = (
    "OMP_NUM_THREADS",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MALLOC_CHECK_",
    "TRITON_INTERPRET",
    "PYTHONHASHSEED",
)
_running: set[ForkServerProcess] = set()
_said = tempfile.TemporaryDirectory(prefix="said-")
_numbers = itertools.count()


def environment() -> dict[str, str]:
    """One thread, and this checkout rather than an installed copy."""
    return {**os.environ, "PYTHONPATH": ROOT, "OMP_NUM_THREADS": "1", "COLUMNS": "140", "NO_COLOR": "1"}


class Running:
    """A command that was started, with those of ``subprocess.Popen``'s members that tests need."""

    def __init__(self, process: ForkServerProcess, files: Sequence[str]) -> None:
        self._process, self._files = process, files
        assert process.pid is not None
        self.pid = process.pid
        _running.add(process)

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("spikebench", timeout or 0)
        _running.discard(self._process)
        return self._process.exitcode

    def kill(self) -> None:
        self._process.kill()

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it wrote to its output and to its errors, once it has ended."""
        self.wait(timeout)
        out, err = (Path(file).read_text() if file else "" for file in self._files)
        return out, err


def start(*words: object, cwd: Path, env: Mapping[str, str] | None = None, merged: bool = False) -> Running:
    """``spikebench words...`` in ``cwd``. ``merged``: errors are written where the output is."""
    env = environment() if env is None else dict(env)
    own = environment()
    assert all(env.get(name) == own.get(name) for name in AT_LOADING), "that is read while libraries are loaded: see above"
    out, err = (str(Path(_said.name, f"{next(_numbers)}")) for _ in "oe")
    process = _context().Process(target=_command, args=([*map(str, words)], str(cwd), env, out, out if merged else err))
    before = dict(os.environ)
    os.environ.update(own)  # the server is started with the first process
    try:
        process.start()
    finally:
        os.environ.clear()
        os.environ.update(before)
    return Running(process, (out, "" if merged else err))


def run(
    *words: object, cwd: Path, env: Mapping[str, str] | None = None, timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    running = start(*words, cwd=cwd, env=env)
    try:
        out, err = running.communicate(timeout)
    except subprocess.TimeoutExpired:
        running.kill()
        raise
    return subprocess.CompletedProcess(["spikebench", *map(str, words)], running.wait(), out, err)


def _context() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.warm_imports"])
    return context


def _command(words: list[str], cwd: str, env: dict[str, str], out: str, err: str) -> None:
    """In the forked process: what ``python -m spikebench`` finds when it begins."""
    import runpy

    assert "torch" in sys.modules, "the server has imported nothing: is tests/warm_imports.py at fault?"
    for number, file in ((1, out), (2, err)):
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:] = [cwd, *env.get("PYTHONPATH", "").split(os.pathsep), *(path for path in sys.path if path not in ("", ROOT))]
    sys.argv = ["spikebench", *words]
    # A background job of a shell ignores Ctrl-C, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    runpy.run_module("spikebench", run_name="__main__", alter_sys=True)


@atexit.register
def _end_all() -> None:
    for process in _running:
        process.kill()
