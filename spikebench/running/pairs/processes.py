"""Processes of the sides: started, given turns, ended with this one however that ends, and their answers read."""

from __future__ import annotations

import contextlib
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
from random import Random
from typing import Any

from spikebench.core.errors import InputError, SpikebenchError
from spikebench.core.process import Process, this_process
from spikebench.running.pairs.sides import Side

CHILD = Path(__file__).with_name("_child.py")
PREFIX = "spikebench-pairs-"
GRACE = 5.0
IMPORTED = ("torch", "numba", "spikebench.running.jobs.execute", "spikebench.harnesses._latency.heat")
"""What takes long to import: that is over before the first of a round begins to compute."""


class SideFailedError(SpikebenchError):
    """A side's process ended without an answer: nothing can be said of its speed (exit 4, some cells failed)."""

    exit_code = 4


class Member:
    """One place in a comparison, and the process of the order at hand.

    Each order gets an interpreter of its own. Processes forked from one parent share where it has its code and data, which alone
    seemed to make one side faster than the other by a per cent or two, in every round alike: two of seven equal commits.
    """

    def __init__(self, side: Side, scratch: Path, name: str) -> None:
        self.side, self.scratch = side, scratch
        self._log = scratch / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._order = scratch

    def ready(self) -> None:
        """Start the process of the next order; it has imported IMPORTED when this returns, and waits."""
        self.close()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [self.side.python, "-P", str(CHILD), *IMPORTED],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=self.side.environment(),
            )  # fmt: skip
        self._hear()

    def start(self, order: Mapping[str, Any], roots: list[Path]) -> None:
        """Hand over an order: the process runs from now on."""
        side = self.side
        self._order = self.scratch / f"{len(list(self.scratch.glob('*.order')))}.order"
        whole = {
            "abreast": False, **order, "text": side.text, "suite": str(side.suite), "folder": str(side.folder),
            "roots": list(map(str, roots)),
        }  # fmt: skip
        self._order.write_text(json.dumps(whole), encoding="utf-8")
        self._say(str(self._order))

    def go(self) -> None:
        """Its turn."""
        self._say("go")

    def until_turn(self) -> bool:
        """Wait until it lets the others have their turns (True), or has ended (False)."""
        if self._hear() == "turn":
            return True
        assert self._process is not None
        self._process.wait()
        return False

    def answer(self) -> dict[str, Any]:
        """Of the order that has ended. Standard error comes with the message where it died.

        Raises InputError for what was found wrong (a suite that does not load on its side), SideFailedError where it died.
        """
        side, file = self.side, self._order.with_suffix(".answer")
        if not file.is_file():
            code = 0 if self._process is None else self._process.returncode
            how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            said = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise SideFailedError(f"{side.name}: its process {how} without an answer{': ' + said[-1] if said else ''}")
        answer: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if "error" in answer:
            raise InputError(f"{side.name}: {side.suite} cannot be measured there: {answer['error']}")
        return answer

    def close(self) -> None:
        """See that its process is gone."""
        if self._process is not None:
            end(self._process)

    def _say(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has died: what is heard next says so
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()

    def _hear(self) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline().decode().strip()


@contextmanager
def crew(sides: Mapping[str, Side], scratch: Path) -> Iterator[dict[str, Member]]:
    """A member for each name, all of whose processes end with the block."""
    members = {name: Member(side, scratch, name) for name, side in sides.items()}
    try:
        yield members
    finally:
        for member in members.values():
            member.close()


def ask(member: Member, order: Mapping[str, Any], roots: list[Path]) -> dict[str, Any]:
    """Have one order carried out while nobody else's is; see ``Member.answer``."""
    abreast({"": member}, {"": order}, roots, turns=False)
    return member.answer()


def abreast(
    members: Mapping[str, Member],
    orders: Mapping[str, Mapping[str, Any]],
    roots: list[Path],
    random: Random | None = None,
    turns: bool = True,
) -> None:
    """Have an order of each member carried out at the same time, in turns: never two of them run at once.

    Each first comes as far as it does without a turn, one after the other; then the turns go round, each round in another order.
    """
    for name in orders:
        members[name].ready()
    random, waiting = random or Random(0), []
    for name, order in orders.items():
        members[name].start({**order, "abreast": turns}, roots)
        if members[name].until_turn():
            waiting.append(name)
    while waiting:
        for name in random.sample(waiting, len(waiting)):
            members[name].go()
            if not members[name].until_turn():
                waiting.remove(name)


def end(process: subprocess.Popen[bytes]) -> None:
    """See that it is gone."""
    for stop in (process.terminate, process.kill):
        if process.poll() is None:
            stop()
            try:
                process.wait(GRACE)
            except subprocess.TimeoutExpired:
                continue
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


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
