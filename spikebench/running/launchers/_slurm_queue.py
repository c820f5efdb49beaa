"""The queue that tasks wait in: SLURM's, by submitit and squeue, or processes of this machine for who has no SLURM."""

from __future__ import annotations

import contextlib
import math
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from spikebench.core.errors import InputError
from spikebench.core.process import Process, host, start_of

WARNING = 90
"""Seconds before its time is up that a task is told so; half its time where that is less."""
RESUBMITTED = 1000
"""How often a task whose time was up is queued again: each time it has come further."""


ORDINARY = frozenset({"None", "Resources", "Priority", "JobArrayTaskLimit", "BeginTime", "Prolog"})
"""Why tasks wait, where waiting helps."""


class Slurm:
    """``parameters``: of sbatch, as submitit names them; ``seconds``: the limit of time. ``held``: why tasks wait for what may
    never come (PartitionTimeLimit, AssocGrpCPUMinutesLimit), as far as was seen when ``alive`` was asked last."""

    held: frozenset[str] | set[str] = frozenset()

    def __init__(self, folder: Path, seconds: float, parameters: Mapping[str, Any]) -> None:
        if shutil.which("sbatch") is None or shutil.which("srun") is None:
            raise InputError("launcher slurm: no sbatch here: run this on a login node of the cluster, or take processes")
        import submitit

        self._executor = submitit.SlurmExecutor(folder / "%j", max_num_timeout=RESUBMITTED)
        minutes = max(1, math.ceil(seconds / 60))
        warning = int(min(WARNING, 30 * minutes))
        given = {name: value for name, value in parameters.items() if value is not None}
        self._executor.update_parameters(time=minutes, signal_delay_s=warning, job_name="spikebench", **given)

    def submit(self, tasks: Sequence[Any]) -> list[str]:
        """One array; the id of each task. Raises InputError with what sbatch says where it refuses."""
        import submitit

        try:
            with self._executor.batch():
                jobs = [self._executor.submit(task) for task in tasks]
        except submitit.core.utils.FailedJobError as error:
            raise InputError(f"launcher slurm: sbatch refused the jobs: {str(error).strip().splitlines()[-1]}") from error
        return [job.job_id for job in jobs]

    def alive(self, ids: Iterable[str]) -> set[str] | None:
        """Those that wait or run; None where the controller does not answer."""
        wanted = set(ids)
        known = ",".join(sorted({name.partition("_")[0] for name in wanted}))
        command = ["squeue", "--noheader", "--array", "--format=%i %r", "--jobs", known]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 and "Invalid job id" not in done.stderr:
            return None
        reasons = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if " " in line)
        self.held = {reason.strip() for name, reason in reasons.items() if name in wanted} - ORDINARY
        return wanted & reasons.keys()

    def cancel(self, ids: Iterable[str]) -> None:
        """SLURM tells them with SIGTERM, and kills what has not left within its KillWait."""
        if names := list(ids):
            subprocess.run(["scancel", *names], capture_output=True, check=False)


class Here:
    """Tasks are processes of this machine, each as soon as it is submitted."""

    held: frozenset[str] | set[str] = frozenset()

    def __init__(self, folder: Path, seconds: float, parameters: Mapping[str, Any]) -> None:
        import submitit

        self._executor = submitit.LocalExecutor(folder / "%j", max_num_timeout=RESUBMITTED)
        self._executor.update_parameters(timeout_min=seconds / 60, signal_delay_s=int(min(WARNING, seconds / 2)))
        self._jobs: list[Any] = []

    def submit(self, tasks: Sequence[Any]) -> list[str]:
        jobs = [self._executor.submit(task) for task in tasks]
        self._jobs += jobs
        return [str(Process(host(), int(job.job_id), start_of(int(job.job_id)) or 0)) for job in jobs]

    def alive(self, ids: Iterable[str]) -> set[str] | None:
        for job in self._jobs:
            job._process.poll()  # what has ended is reaped
        return {name for name in ids if Process.parse(name).alive is not False}

    def cancel(self, ids: Iterable[str]) -> None:
        for name in ids:
            with contextlib.suppress(OSError):
                os.kill(Process.parse(name).pid, signal.SIGINT)
        for job in self._jobs:
            with contextlib.suppress(subprocess.TimeoutExpired):
                job._process.wait(5)
