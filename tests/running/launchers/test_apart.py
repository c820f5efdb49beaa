"""A process that is asked one thing after the other, and is gone afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
import threading

import pytest

from spikebench.core.errors import InputError
from spikebench.core.process import start_of
from spikebench.running.launchers._apart import Apart, beside, can_fork, here

COPY = """\
import os, signal, sys, threading, time
from spikebench.core.process import start_of
from spikebench.running.launchers._apart import Apart, beside, can_fork

def loaded(name):
    return name in sys.modules

def interrupt(*_):
    raise KeyboardInterrupt

print("said once", end="")
assert can_fork()
with beside() as there:
    child = there(os.getpid)
    assert there(os.getppid) == os.getpid() != child
    assert there(loaded, "spikebench.running.launchers._apart")  # without importing anything: what a copy has from the start
    assert there(signal.getsignal, signal.SIGINT) == signal.SIG_IGN
assert start_of(child) is None
signal.signal(signal.SIGALRM, interrupt)
try:
    with Apart() as there:
        child = there(os.getpid)
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        there(time.sleep, 3600)
except KeyboardInterrupt:
    assert start_of(child) is None
    print(" and interrupted")
threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()
assert not can_fork()
"""


def refuse(word: str) -> None:
    raise InputError(f"no {word}")


def test_one_process_answers_every_call_and_outlives_what_a_call_raises() -> None:
    with Apart() as there:
        child = there(os.getpid)
        assert child != os.getpid()
        with pytest.raises(InputError, match="no torch"):
            there(refuse, "torch")
        assert there(os.getpid) == child
        assert start_of(child) is not None
    assert start_of(child) is None


def test_a_copy_needs_no_import_says_nothing_twice_and_goes_when_its_parent_is_interrupted() -> None:
    done = subprocess.run([sys.executable, "-c", COPY], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "said once and interrupted\n", "")


def test_what_has_torch_or_threads_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "listdir", lambda folder: ["1"])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert can_fork()
    monkeypatch.setitem(sys.modules, "torch", threading)
    assert not can_fork()
    with beside() as there:
        assert there is here
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(os, "listdir", lambda folder: ["1", "2"])
    assert not can_fork()


def test_a_process_that_ends_without_an_answer_is_an_error() -> None:
    with pytest.raises(RuntimeError, match=r"_exit ended \(exit code 3\)"), Apart() as there:
        there(os._exit, 3)
