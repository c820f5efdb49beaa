"""What jobs do in the tests of ``slurm``: importable where its tasks run."""

from __future__ import annotations

import dataclasses
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spikebench.core.errors import DiskError
from spikebench.running.jobs.events import JobEnded, JobStarted


@dataclasses.dataclass(frozen=True)
class Task:
    """Stands for a Job."""

    job_id: str
    fate: str = ""


@dataclasses.dataclass(frozen=True)
class Step:
    """``number``: counted on from where an interrupted attempt was."""

    job_id: str
    number: int


@dataclasses.dataclass(frozen=True)
class Work:
    """Keeps how far each job is in ``folder``, as a training keeps its checkpoint: when it is interrupted."""

    folder: Path

    def __call__(self, task: Any) -> Iterator[Any]:
        yield JobStarted(task.job_id)
        with (self.folder / "begun").open("a") as stream:
            stream.write(f"{task.job_id}\n")
        if task.fate == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if task.fate == "full":
            raise DiskError("x: the disk is full")
        while task.fate == "gate" and not (self.folder / "go").exists():
            time.sleep(0.05)
        if task.fate.startswith("steps"):
            yield from self._steps(task)
        yield JobEnded(task.job_id, 0.0)

    def _steps(self, task: Any) -> Iterator[Any]:
        kept = self.folder / f"{task.job_id}.kept"
        number = int(kept.read_text()) if kept.exists() else 0
        try:
            while number < int(task.fate.removeprefix("steps")):
                time.sleep(0.1)
                number += 1
                yield Step(task.job_id, number)
        except KeyboardInterrupt:
            kept.write_text(str(number))
            raise

    def begun(self) -> list[str]:
        path = self.folder / "begun"
        return path.read_text().split() if path.exists() else []
