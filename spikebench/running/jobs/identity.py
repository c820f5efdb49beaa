"""Which machine and which code a job ran on: asked once, in the process that runs it, and sent along with its events."""

from __future__ import annotations

import dataclasses
from typing import Any

from spikebench.core.cells import Job
from spikebench.core.machine import machine
from spikebench.core.metrics import foreign
from spikebench.core.source import source
from spikebench.core.store import ResultsFolder


@dataclasses.dataclass(frozen=True, slots=True)
class Identity:
    """``machine_id`` and ``source_id`` of the process that ran, or runs, a job."""

    machine_id: str
    source_id: str

    def header(self, job: Job) -> dict[str, Any]:
        """The header line of the job's file."""
        return {**job.header(), "machine_id": self.machine_id, "source_id": self.source_id}


def here(threads: int = 0) -> Identity:
    """Of this process, computing with so many threads; 0: with as many as torch uses now."""
    return Identity(_machine(threads)["machine_id"], source()["source_id"])


def put_identity(store: ResultsFolder) -> Identity:
    """Of this process, once the folder has the facts behind both ids, and what metrics of others mean. Raises StorageError."""
    identity = here()
    store.put_facts("machines", identity.machine_id, _machine())
    declared = foreign()
    store.put_facts("sources", identity.source_id, {**source(), **({"metrics": declared} if declared else {})})
    return identity


def _machine(threads: int = 0) -> dict[str, Any]:
    import torch

    return machine(threads or torch.get_num_threads())
