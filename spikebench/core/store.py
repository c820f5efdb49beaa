"""A results folder: the one place where what was measured is kept.

``jobs/`` has a file a job (see ``job_files``), ``cells/``, ``machines/`` and ``sources/`` a JSON file for each id, ``datasets/``
one for each split that a job has read. No two processes write different things into one file, so many may fill one folder, and
merging two folders is copying files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from spikebench.core import job_files, json_text, shapes
from spikebench.core.errors import StorageError, storage_errors
from spikebench.core.job_files import JobFile, JobWriter, NewerError
from spikebench.core.plans import Plans, Wanted, superseded
from spikebench.core.process import this_process
from spikebench.core.record_lines import Lines
from spikebench.core.records import Record

Content = TypeVar("Content")


class ResultsFolder:
    """Reads and writes one suite's results. Reading never writes: a folder is made by ``create``."""

    def __init__(self, path: str | Path, known: dict[Path, Any] | None = None) -> None:
        """``known``: what was read of its files already, which is not read again; what is read now is added. None: each file is
        read whenever it is asked for."""
        self.path = Path(path)
        self.known = known
        self.notices: list[str] = []
        self._reader = Lines()
        self.remarks: list[str] = []  # what is left out although it can be read

    # -- reading ---------------------------------------------------------------------------------------------------------

    def require(self) -> ResultsFolder:
        """Raises StorageError unless this is a results folder."""
        if not self.path.is_dir():
            raise StorageError(f"{self.path}: no such folder; `spikebench run SUITE` makes one")
        if not (self.path / "jobs").is_dir():
            inside = (
                sorted(child.name for child in self.path.iterdir() if (child / "jobs").is_dir()) if self.path.is_dir() else []
            )
            hint = f"; it holds results folders: {', '.join(inside)}" if inside else ""
            raise StorageError(f"{self.path}: not a results folder (no jobs/ in it){hint}")
        return self

    def suite_text(self) -> str | None:
        """The suite as it was run last, resolved; None if the folder has none. Raises StorageError if it cannot be read."""
        path = self.path / "suite.yaml"
        try:
            return path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"{path}: cannot be read: {_reason(error)}") from error

    def cells(self) -> dict[str, dict[str, Any]]:
        """Those that the folder's plans name; all if there are no plans."""
        wanted = self._wanted()
        return {name: facts for name, facts in self._facts("cells").items() if wanted is None or name in wanted.cells}

    def machines(self) -> dict[str, dict[str, Any]]:
        return self._facts("machines")

    def sources(self) -> dict[str, dict[str, Any]]:
        return self._facts("sources")

    def datasets(self) -> dict[str, dict[str, Any]]:
        """The splits that jobs have read here: of which data set, how many samples, and their shape and classes."""
        return self._facts("datasets")

    def job_files(self) -> Iterator[JobFile]:
        """Every finished file that counts; what cannot be read is left out and named in ``notices``.

        Jobs that no plan names are superseded, which ``remarks`` say. Where one machine has finished a job, another one's failure
        of the same job is of no interest any more.
        """
        wanted = self._wanted()
        others: dict[str, Path] = {}
        for job_id, paths in sorted(self.finished().items()):
            if wanted is not None and job_id not in wanted.jobs:
                others[job_id] = paths[0]
                continue
            found = [job_file for path in paths if (job_file := self.read_job_file(path)) is not None]
            yield from [job_file for job_file in found if job_file.done] or found
        if others:
            self.remarks = [superseded(others)]

    def records(self) -> Iterator[Record]:
        for job_file in self.job_files():
            yield from job_file.records

    def job_path(self, job_id: str, machine_id: str) -> Path:
        return self.path / "jobs" / f"{job_id}-{machine_id}.jsonl"

    def finished(self) -> Mapping[str, Sequence[Path]]:
        """job_id -> its finished files, one for each machine, by name; what one look at the folder shows."""
        found: dict[str, list[Path]] = {}
        folder = self.path / "jobs"
        names = sorted(os.listdir(folder)) if folder.is_dir() else []
        for path in (folder / name for name in names if name.endswith(".jsonl")):
            found.setdefault(_job_of(path), []).append(path)
        return found

    def files_of(self, job_id: str) -> Sequence[Path]:
        """The finished files of one job, by name."""
        folder = self.path / "jobs"
        names = os.listdir(folder) if folder.is_dir() else []
        own = (name for name in names if name.startswith(f"{job_id}-") and name.endswith(".jsonl"))
        return [folder / name for name in sorted(own)]

    def find(
        self, job_id: str, machine_id: str | None = None, among: Mapping[str, Sequence[Path]] | None = None
    ) -> JobFile | None:
        """The file of a job, of any machine if none is named, one without failures first; None where none can be read.

        ``among``: what ``finished`` gave, for who looks for many jobs.
        """
        failed = None
        for path in self.files_of(job_id) if among is None else among.get(job_id, ()):
            if machine_id is not None and path != self.job_path(job_id, machine_id):
                continue
            found = self.read_job_file(path)
            if found is not None and found.done:
                return found
            failed = failed or found
        return failed

    def read_job_file(self, path: Path) -> JobFile | None:
        """None, with a notice naming the job, if the file is damaged or was written by a newer version."""
        try:
            return self._once(path, lambda: job_files.read(path, self._reader))
        except NewerError as error:
            self._notice(f"{path.name}: {error}; left out")
        except (OSError, ValueError) as error:
            self._notice(f"{path.name}: damaged ({_reason(error)}); left out, job {_job_of(path)} counts as not done")
        return None

    def read_partial(self, path: Path, source_id: str | None = None) -> tuple[Record, ...]:
        """What interrupted runs of a job have recorded: the longest of its unfinished files that no process is writing.

        ``source_id``: of those that this code wrote alone.
        """
        longest: tuple[Record, ...] = ()
        for left in job_files.unfinished(path.parent, path.stem):
            if left.in_use:
                continue
            records, loss = job_files.read_unfinished(left.path)
            if loss is not None:
                self._notice(f"{left.path.name}: {loss}")
            if source_id is None or all(record.source_id == source_id for record in records):
                longest = max(longest, records, key=len)
        return longest

    def unfinished(self) -> frozenset[str]:
        """job_ids of which something was begun and not finished, by one look at the folder."""
        return job_files.unfinished_jobs(self.path / "jobs")

    def with_weights(self) -> frozenset[str]:
        """cell_ids that have a folder for weights."""
        folder = self.path / "weights"
        return frozenset(os.listdir(folder) if folder.is_dir() else ())

    def took_its_process_down(self, path: Path) -> bool:
        """Whether a process of this host died over the job of this file the last time that it ran."""
        if any(left.crashed for left in job_files.unfinished(path.parent, path.stem)):
            return True
        try:
            header = job_files.header_at(path)
        except NewerError:
            return False
        return header is not None and bool(header.get("died"))

    def _wanted(self) -> Wanted | None:
        try:
            return Plans(self.path).wanted()
        except (OSError, ValueError) as error:
            self._notice(f"plans/: cannot be read ({_reason(error)}); all results are shown, superseded ones too")
            return None

    def has_facts(self, kind: str, identity: str) -> bool:
        """Whether a cell, machine, source or split is there and can be read."""
        return self._facts_of(kind, identity) is not None

    def _facts_of(self, kind: str, identity: str) -> dict[str, Any] | None:
        try:
            return self._read_facts(kind, self._facts_path(kind, identity))
        except (OSError, ValueError):
            return None

    def _facts_path(self, kind: str, identity: str) -> Path:
        return self.path / kind / f"{identity}.json"

    def _facts(self, kind: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for path in sorted((self.path / kind).glob("*.json")):
            try:
                found[path.stem] = self._read_facts(kind, path)
            except (OSError, ValueError) as error:
                self._notice(f"{kind}/{path.name}: damaged ({_reason(error)}); left out")
        return found

    def _read_facts(self, kind: str, path: Path) -> dict[str, Any]:
        """Raises OSError, ValueError."""

        def read() -> dict[str, Any]:
            facts = json_text.parse_object(path.read_text(encoding="utf-8"))
            shapes.check(kind, facts)
            return facts

        return self._once(path, read)

    def _once(self, path: Path, read: Callable[[], Content]) -> Content:
        if self.known is None:
            return read()
        if path not in self.known:
            self.known[path] = read()
        found: Content = self.known[path]
        return found

    def _notice(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)

    # -- writing ---------------------------------------------------------------------------------------------------------

    def create(self) -> ResultsFolder:
        """Make the folder and its rooms. Raises StorageError on a read-only or full disk."""
        with storage_errors(self.path):
            for room in ("cells", "machines", "sources", "datasets", "jobs", "weights"):
                (self.path / room).mkdir(parents=True, exist_ok=True)
        return self

    def put_suite(self, text: str) -> None:
        self._put(self.path / "suite.yaml", text)

    def put_facts(self, kind: str, identity: str, facts: Mapping[str, Any], anew: bool = False) -> bool:
        """Store a cell, machine, source or split, unless it is there and can be read; ``anew``: and is the same. Returns whether
        it was written."""
        there = self._facts_of(kind, identity)
        if there is not None and (there == facts or not anew):
            return False
        self._put(self._facts_path(kind, identity), json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
        return True

    def weights_folder(self, cell_id: str) -> Path:
        return self.path / "weights" / cell_id

    def writer(self, header: Mapping[str, Any], keep: Iterable[Record] = ()) -> JobWriter:
        """Open a job's file for writing, beginning with the records to ``keep`` of an interrupted run."""
        path = self.job_path(header["job_id"], header["machine_id"])
        left = job_files.unfinished(path.parent, path.stem)
        return JobWriter(path, header, keep, [one.path for one in left if not one.in_use])

    def _put(self, path: Path, text: str) -> None:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            if self.known is not None:
                self.known.pop(path, None)
            # A name of its own keeps two workers that store the same facts from writing into one file.
            temporary = path.with_name(f"{path.name}.{this_process()}.tmp")
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, path)


def _job_of(path: Path) -> str:
    return path.stem.partition("-")[0]


def _reason(error: Exception) -> str:
    return str(error).split("\n")[0]
