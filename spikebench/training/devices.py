"""One training on several devices of this machine: a process each, of which the first reports; one that dies ends the others."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

from spikebench.core import allocator, own_files
from spikebench.core.errors import InputError, Problem
from spikebench.core.protocols import Subject
from spikebench.training.epochs import Epoch
from spikebench.training.interruption import deferred
from spikebench.training.options import TrainingOptions
from spikebench.training.ranks import here

LEAVING = 50.0
"""Seconds that the processes have to end their step and write the checkpoint, when all shall end."""
START = "from spikebench.training.devices import serve; serve()"


class OnDevices:
    """What ``Training`` says of itself, as the first of ``options.devices`` processes tells it; iterating trains.

    Under torchrun these are the processes that it has started, and this is the first. Raises what a process raised, RuntimeError
    for one that died, and InputError for more GPUs, or other processes, than there are.
    """

    def __init__(self, subject: Subject, options: TrainingOptions) -> None:
        self.subject, self.options = subject, options
        self.dataset = subject.dataset
        self.precision = ""
        self.first_step_loss: float | None = None
        self.best: dict[str, Any] | None = None
        self.unreadable: dict[str, dict[str, str]] = {}

    def __iter__(self) -> Iterator[Epoch]:
        for message in self._messages():
            epoch, self.precision, self.first_step_loss, self.best, self.unreadable = message
            if epoch is not None:
                yield epoch

    def _messages(self) -> Iterator[Any]:
        given, kind = (self.subject, self.options, own_files.in_use()), self.subject.device.type
        ranks = here()
        if ranks is None:
            yield from processes(_train, given, self.options.devices, kind)
            return
        if self.options.devices != ranks.world and (self.options.devices > 1 or not self.options.sync_batchnorm):
            message = f"torchrun has started {ranks.world} processes here, got {self.options.devices}"
            raise InputError(Problem(message, key="devices"))
        with ranks.training(_help, *given, device=kind) as group:
            yield from _trained(group, *given)


def _train(group: Any, tell: Callable[[Any], None], *given: Any) -> None:
    for message in _trained(group, *given):
        if group.rank == 0:
            tell(message)


def _help(group: Any, *given: Any) -> None:
    _train(group, print, *given)


def _trained(group: Any, subject: Subject, options: TrainingOptions, own: own_files.OwnFiles) -> Iterator[Any]:
    """What ``OnDevices`` says, after each epoch and at the end; ``own``: the suite's own files, of which its network may be."""
    from spikebench.training.loop import Training
    from spikebench.training.whole import train

    own_files.use(own)
    training = Training(subject.model, subject.dataset, options, seed=subject.job.cell.seed, device=subject.device, group=group)

    def said(epoch: Epoch | None) -> Any:
        best = None if training.best is None else {"epoch": training.best["epoch"]}
        return epoch, training.precision, training.first_step_loss, best, training.unreadable

    for epoch in train(training, subject.weights_folder, subject.job.job_id):
        yield said(epoch)
    yield said(None)


def processes(function: Callable[..., None], arguments: tuple[Any, ...], count: int, device: str) -> Iterator[Any]:
    """``function(group, tell, *arguments)`` in ``count`` processes; yields what they ``tell``. All of it is picklable.

    They end with this process, and when one of them fails: its exception is raised here, or RuntimeError saying how it died. When
    SIGTERM or Ctrl-C comes they have LEAVING seconds to stop by themselves. Plain subprocesses: a worker may have no others.
    """
    if device == "cuda":
        import torch

        if count > torch.cuda.device_count():
            raise InputError(Problem(f"there are {torch.cuda.device_count()} GPUs here, got {count}", key="devices"))
    with tempfile.TemporaryDirectory() as folder:
        ranks = [_Rank(rank, count, device, Path(folder) / "meet", function, arguments) for rank in range(count)]
        try:
            while (message := _next(ranks)) is not None:
                yield message[0]
        finally:
            for rank in ranks:
                rank.process.kill()
                rank.process.wait()


def _next(ranks: list[_Rank]) -> tuple[Any] | None:
    """What is told next; None when all have ended well."""
    with deferred() as interruption:
        while any(rank.open for rank in ranks):
            for ready in wait([rank.connection for rank in ranks if rank.open], timeout=0.2):
                rank = next(rank for rank in ranks if rank.connection is ready)
                try:
                    kind, value = rank.connection.recv()
                except (EOFError, ConnectionResetError):
                    rank.open = False
                    rank.require_well()
                    continue
                if kind == "failed":
                    value.add_note(f"in process {rank.number} of {len(ranks)}")
                    raise value
                return (value,)
            if interruption:
                for rank in ranks:
                    rank.process.send_signal(signal.SIGTERM)
                _await(ranks)
                raise KeyboardInterrupt
    return None


def _await(ranks: list[_Rank]) -> None:
    patience = time.monotonic() + LEAVING
    while any(rank.process.poll() is None for rank in ranks) and time.monotonic() < patience:
        time.sleep(0.05)


class _Rank:
    """One of the processes, as its parent sees it."""

    def __init__(
        self, number: int, count: int, device: str, meet: Path, function: Callable[..., None], arguments: tuple[Any, ...]
    ) -> None:
        import torch

        self.number, self.count, self.open = number, count, True
        self.connection, there = Pipe(duplex=False)
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self.process = subprocess.Popen(
            [sys.executable, "-c", START], stdin=subprocess.PIPE, pass_fds=[there.fileno()], env=environment
        )
        threads = max(1, torch.get_num_threads() // count)
        assert self.process.stdin is not None
        pickle.dump((number, count, device, str(meet), threads, there.fileno(), function, arguments), self.process.stdin)
        there.close()
        self.process.stdin.flush()  # and it stays open: its end says that this process is gone

    def require_well(self) -> None:
        """Raises RuntimeError if the process did not end by itself and well."""
        code = self.process.wait()
        if code:
            how = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"ended with exit code {code}"
            raise RuntimeError(f"process {self.number} of {self.count} {how}; the others were ended")


def serve() -> None:
    """What each process does."""
    number, count, device, meet, threads, place, function, arguments = pickle.load(sys.stdin.buffer)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent decides what it means
    threading.Thread(target=_end_with_parent, daemon=True).start()
    connection = Connection(place, readable=False)
    allocator.keep()
    import torch

    from spikebench.training.group import Group

    torch.set_num_threads(threads)
    if device == "cuda":
        torch.cuda.set_device(number)
    # What is computed travels as the device wants it, what is agreed upon through gloo; the first may validate for hours.
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    torch.distributed.init_process_group(
        backend, init_method=f"file://{meet}", rank=number, world_size=count, timeout=timedelta(days=30)
    )
    try:
        function(Group(number, count), lambda value: connection.send(("told", value)), *arguments)
    except Exception as error:
        connection.send(("failed", _portable(error)))
        connection.close()
        os._exit(1)
    connection.close()
    os._exit(0)  # nothing waits for a group whose other members may be gone


def _portable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(1)
