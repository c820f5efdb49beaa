"""The interfaces that members of the registries fulfil, as far as they need no torch to say."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from spikebench.core.cells import Job
from spikebench.core.metrics import Metric
from spikebench.core.records import Record


class Subject(Protocol):
    """One network on one device, as a harness gets it. Everything is made when first asked for."""

    @property
    def job(self) -> Job: ...

    @property
    def model(self) -> Any:
        """The network (``nn.Module``) with the cell's weights, in evaluation mode, on ``device``."""

    @property
    def dataset(self) -> Any:
        """The data set object (``spikebench.data``)."""

    @property
    def device(self) -> Any:
        """``torch.device``."""

    @property
    def weights_folder(self) -> Path:
        """Where this cell's weights and checkpoints are kept."""

    @property
    def previous(self) -> Sequence[Record]:
        """What an interrupted run of this very job had already recorded; a harness with ``resumes`` leaves that out."""


@runtime_checkable
class Harness(Protocol):
    """Does one thing to a network and yields numbers as they come. Never prints, never hides a failure.

    ``needs_weights``: the cell must be trained first. ``exclusive``: timing, which runs alone. ``resumes``: it takes
    ``previous`` into account, so records of an interrupted run are kept. torch is imported inside ``run``.
    ``stage``: it makes the weights that others measure, has a key of its own in a suite, and runs before them; a harness that
    does not say so is none.
    """

    Options: ClassVar[type]
    metrics: ClassVar[tuple[Metric, ...]]
    version: ClassVar[int]
    needs_weights: ClassVar[bool]
    exclusive: ClassVar[bool]
    resumes: ClassVar[bool]
    stage: ClassVar[bool]

    def run(self, subject: Subject, options: Any) -> Iterator[Record]: ...


def _never(job: Job) -> bool:
    return False


@dataclasses.dataclass(frozen=True)
class Care:
    """What a launcher must see to. ``job_timeout``: seconds after which a job is ended; ``stall``: seconds without an event after
    which it is; None: it may take as long as it likes. ``apart``: whether a job must not run in the driver's own process, because
    it has taken its process down before. ``device``: the kind that the jobs are for, and ``devices``: how many of it a job uses.
    ``exclusive``: each has the device of its machine to itself; asked only of launchers that are ``exclusive``. ``wait``: for the
    jobs to end; else they are only handed over, which is asked only of launchers whose jobs stay (``stays``)."""

    job_timeout: float | None = None
    stall: float | None = None
    apart: Callable[[Job], bool] = _never
    device: str = "cpu"
    devices: int = 1
    exclusive: bool = False
    wait: bool = True

    @property
    def limited(self) -> bool:
        return self.job_timeout is not None or self.stall is not None


NO_CARE = Care()


class Launcher(Protocol):
    """Runs chains of jobs; jobs of one chain run in order, chains in any order and side by side.

    ``alone``: one job at a time with the machine to itself, so it may time; jobs of an exclusive harness are handed to no other,
    but to one that says that it is ``exclusive``: it keeps a machine's device free of all other jobs where ``care`` asks it to.
    ``workers``: how many jobs run side by side on CPUs; one that counts otherwise for other devices says so in ``workers_for``,
    which is handed the ``care``. ``Options`` may have ``threads``, CPU threads of a job, by which times are known.
    ``JobStarted`` is given its ``where`` by a launcher that has workers.
    One that works in its own process hands jobs that ``care`` wants ended or apart to ``processes``, as ``inline`` does.
    Yields the events of the work, and ``WorkerDied`` for a job whose process has died or was ended. What the work raises is
    raised here, whichever process it ran in.
    """

    Options: ClassVar[type]
    alone: ClassVar[bool]

    @property
    def workers(self) -> int: ...

    def run(
        self, chains: Iterable[Sequence[Job]], work: Callable[[Job], Iterator[Any]], care: Care = NO_CARE
    ) -> Iterator[Any]: ...


@runtime_checkable
class Movable(Protocol):
    """Work that reads and writes one folder, and can do so in another one on another machine: for launchers without a file system
    that all machines share. Work that is none of this has no files."""

    @property
    def folder(self) -> Path: ...

    def moved(self, folder: Path) -> Callable[[Job], Iterator[Any]]:
        """The same work, in ``folder``, where its luggage is."""

    def luggage(self, chain: Sequence[Job]) -> Mapping[str, Path]:
        """The files that the chain's jobs must find: their names below the other folder, and where they are in this one."""

    def signals(self, job: Job) -> Sequence[str]:
        """Names of files that the driver may make in its folder while the job runs, which must then be in the other one, too."""


class Derivation(Protocol):
    """Records into records: nothing is measured again.

    ``asks``: the keyword under which it is handed what a suite names: ``profiles`` (its energy profiles) or ``chips``; it is not
    called where a suite names none. One that does not say so asks for ``profiles``.
    """

    metrics: ClassVar[tuple[Metric, ...]]

    def __call__(self, records: Iterable[Record], **options: Any) -> Iterator[Record]: ...
