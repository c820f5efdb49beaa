"""What the driver and the process that speaks Ray for it tell each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spikebench.core.cells import Job
from spikebench.core.protocols import Care
from spikebench.core.source import Checkout
from spikebench.running.jobs.events import Where


@dataclasses.dataclass(frozen=True)
class Terms:
    """What workers are started with. ``code``: the folder to send; ``lives``: of how many workers that die over it a job is
    given up; ``versions`` and ``source``: what theirs must be."""

    address: str | None
    work: Any
    care: Care
    threads: int
    workers: int | None
    lives: int
    code: Path
    checkout: Checkout
    versions: Mapping[str, str]
    source: Mapping[str, Any]


# -- from the driver ---------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Give:
    """A chain for a worker that is idle; its luggage was sent before. ``deaths``: how many workers died over each job so far."""

    seat: int
    chain: Sequence[Job]
    deaths: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Send:
    """A piece of a file for a worker."""

    seat: int
    piece: Any


@dataclasses.dataclass(frozen=True)
class Leave:
    """All workers end, as at a SIGTERM."""


# -- to the driver -----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Planned:
    """How many workers there will be on each node."""

    nodes: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Ready:
    """A worker is there."""

    seat: int
    where: Where


@dataclasses.dataclass(frozen=True)
class Said:
    """By a worker: an event, a piece of a file, IDLE, Raised or LEFT."""

    seat: int
    message: Any


@dataclasses.dataclass(frozen=True)
class Lost:
    """A worker, or its node, is gone without a word."""

    seat: int
    reason: str


@dataclasses.dataclass(frozen=True)
class Refused:
    """No worker can be had there."""

    where: Where
    reason: str


@dataclasses.dataclass(frozen=True)
class Deserted:
    """No worker is there or will be."""


@dataclasses.dataclass(frozen=True)
class Unusable:
    """The cluster is not there, or has not what the jobs need."""

    reason: str
    gone: bool
    """It may come back."""


LEFT = "left"
