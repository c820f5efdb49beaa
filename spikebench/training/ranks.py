"""Processes that torchrun has started: the first runs the command, and the others help it wherever a network is trained."""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from spikebench.core.reasons import explain

if TYPE_CHECKING:
    from spikebench.training.group import Group

FOREVER = timedelta(days=30)
"""The first process may measure and validate for hours before the others have something to do."""
LEAVING = 30.0
"""Seconds that a process may stay in a training that the first one has left: its GPU may wait for what never comes."""
LOOK = 0.05
"""Seconds between looks for something to do."""
VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


class Ranks:
    """``rank`` of ``world`` processes, of this one. They agree on what to train through torchrun's store."""

    def __init__(self) -> None:
        self.rank, self.world = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
        self._trainings = 0
        self._store: Any = None

    @property
    def store(self) -> Any:
        """Met when it is first needed: torch is imported."""
        if self._store is None:
            import torch

            self._store, *_ = next(iter(torch.distributed.rendezvous("env://", timeout=FOREVER)))
        return self._store

    @contextmanager
    def training(self, function: Callable[..., None], *arguments: Any, device: str) -> Iterator[Group]:
        """In the first process: the others call ``function(group, *arguments)`` while the block runs in the same group.

        Raises RuntimeError for what another one has raised, or if it is gone.
        """
        self._trainings += 1
        self.store.set(f"task {self._trainings}", pickle.dumps((function, arguments, device)))
        try:
            with self._group(device) as group:
                yield group
        except Exception as error:
            raise self._others(error) from error
        finally:
            self.store.set(f"over {self._trainings}", "")

    def help_out(self) -> None:
        """In any other process: do what the first one asks for, until it has ended."""
        while True:
            self._trainings += 1
            task = f"task {self._trainings}"
            while not self.store.check([task]):
                time.sleep(LOOK)
            content = self.store.get(task)
            if not content:
                return
            function, arguments, device = pickle.loads(content)
            over = threading.Event()
            threading.Thread(target=self._leave_with_the_first, args=(over,), daemon=True).start()
            try:
                with self._group(device) as group:
                    function(group, *arguments)
            except Exception as error:
                # Whoever watches is told by the first process; it may go on with another network.
                self.store.set(self._failed(self.rank), explain(error))
            finally:
                over.set()

    def release(self) -> None:
        """In the first process: the others may end."""
        self._trainings += 1
        self.store.set(f"task {self._trainings}", "")

    @contextmanager
    def _group(self, device: str) -> Iterator[Group]:
        import torch

        from spikebench.training.group import Group

        if device == "cuda":
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", self.rank)))
        backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
        store = torch.distributed.PrefixStore(f"training {self._trainings}", self.store)
        torch.distributed.init_process_group(backend, store=store, rank=self.rank, world_size=self.world, timeout=FOREVER)
        try:
            yield Group(self.rank, self.world)
        finally:
            torch.distributed.destroy_process_group()

    def _others(self, error: Exception) -> Exception:
        """Why a training failed: what another process said before, if one did."""
        time.sleep(10 * LOOK)
        for rank in range(1, self.world):
            if self.store.check([self._failed(rank)]):
                said = self.store.get(self._failed(rank)).decode()
                if said != explain(error):
                    return RuntimeError(f"process {rank} of {self.world}: {said}")
        return error

    def _failed(self, rank: int) -> str:
        return f"failed {self._trainings} {rank}"

    def _leave_with_the_first(self, over: threading.Event) -> None:
        name, since = f"over {self._trainings}", 0.0
        while not over.wait(1.0):
            if not since and self.store.check([name]):
                since = time.monotonic()
            if since and time.monotonic() - since > LEAVING:
                os._exit(1)


_here: Ranks | None = None


def join() -> Ranks | None:
    """Called as the command begins: whether torchrun has started this process with others. What it starts itself is its own."""
    global _here
    if all(os.environ.get(name) for name in VARIABLES) and os.environ["WORLD_SIZE"] != "1":
        _here = Ranks()
    return _here


def here() -> Ranks | None:
    """The processes that torchrun has started this one with; None without it."""
    return _here
