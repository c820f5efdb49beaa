"""A results folder: the one place where what was measured is kept.

``jobs/<job_id>-<machine_id>.jsonl`` has a header line with the ids, then one record a line. It is written as ``.partial`` and
renamed
when whole, so the finished file *is* the resume state. One writer per file and no locks: processes and machines may fill one
folder, and merging two folders is copying files.
"""

from __future__ import annotations

import dataclasses
import errno
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from spikebench.core.errors import StorageError
from spikebench.core.records import Record

SCHEMA = 1


@dataclasses.dataclass(frozen=True)
class JobFile:
    """A job's file as read: its header, its records, and whether it stands for finished work."""

    path: Path
    header: Mapping[str, Any]
    records: tuple[Record, ...]

    @property
    def failed(self) -> bool:
        return any(record.status == "failed" for record in self.records)


class ResultsFolder:
    """Reads and writes one suite's results. Reading never writes: a folder is made by ``create``."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.notices: list[str] = []

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
        """The suite as it was run last, resolved; None if the folder has none."""
        path = self.path / "suite.yaml"
        return path.read_text(encoding="utf-8") if path.exists() else None

    def cells(self) -> dict[str, dict[str, Any]]:
        return self._facts("cells")

    def machines(self) -> dict[str, dict[str, Any]]:
        return self._facts("machines")

    def sources(self) -> dict[str, dict[str, Any]]:
        return self._facts("sources")

    def job_files(self) -> Iterator[JobFile]:
        """Every finished file that counts; what cannot be read is left out and named in ``notices``.

        Where one machine has finished a job, another one's failure of the same job is of no interest any more.
        """
        paths = sorted((self.path / "jobs").glob("*.jsonl"), key=lambda path: (_job_of(path), path.name))
        for _, same in itertools.groupby(paths, _job_of):
            found = [job_file for path in same if (job_file := self.read_job_file(path)) is not None]
            yield from [job_file for job_file in found if not job_file.failed] or found

    def records(self) -> Iterator[Record]:
        for job_file in self.job_files():
            yield from job_file.records

    def job_path(self, job_id: str, machine_id: str) -> Path:
        return self.path / "jobs" / f"{job_id}-{machine_id}.jsonl"

    def find(self, job_id: str, machine_id: str | None = None) -> JobFile | None:
        """The file of a job, of any machine if none is named, one without failures first; None where none can be read."""
        failed = None
        for path in sorted((self.path / "jobs").glob(f"{job_id}-{machine_id or '*'}.jsonl")):
            found = self.read_job_file(path)
            if found is not None and not found.failed:
                return found
            failed = failed or found
        return failed

    def read_job_file(self, path: Path) -> JobFile | None:
        """None, with a notice naming the job, if the file is damaged or was written by a newer version."""
        try:
            # Not splitlines(): it would also cut at U+2028 and the like, which JSON leaves as they are inside of a text.
            lines = path.read_text(encoding="utf-8").split("\n")
            header = json.loads(lines[0])
            if header["schema"] > SCHEMA:
                self._notice(
                    f"{path.name}: written by a newer spikebench (schema {header['schema']}, this one reads {SCHEMA}); left out"
                )
                return None
            return JobFile(path, header, tuple(_records(lines[1:], header)))
        except (OSError, UnicodeDecodeError, ValueError, KeyError, IndexError, TypeError) as error:
            self._notice(f"{path.name}: damaged ({_reason(error)}); left out, job {_job_of(path)} counts as not done")
            return None

    def read_partial(self, path: Path) -> tuple[Record, ...]:
        """The whole lines of an interrupted job's ``.partial``; a torn last line is dropped with a notice."""
        partial = _partial(path)
        if not partial.exists():
            return ()
        lines = partial.read_bytes().split(b"\n")
        try:
            header = json.loads(lines[0])
        except ValueError:
            self._notice(f"{partial.name}: torn before its first record; dropped")
            return ()
        found: list[Record] = []
        for line in lines[1:-1]:
            try:
                found += _records([line.decode()], header)
            except (ValueError, TypeError, KeyError):
                self._notice(f"{partial.name}: torn after {len(found)} records; those are kept, the rest is measured again")
                break
        return tuple(found)

    def _facts(self, kind: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for path in sorted((self.path / kind).glob("*.json")):
            try:
                found[path.stem] = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                self._notice(f"{kind}/{path.name}: damaged ({_reason(error)}); left out")
        return found

    def _notice(self, text: str) -> None:
        if text not in self.notices:
            self.notices.append(text)

    # -- writing ---------------------------------------------------------------------------------------------------------

    def create(self) -> ResultsFolder:
        """Make the folder and its rooms. Raises StorageError on a read-only or full disk."""
        with storage_errors(self.path):
            for room in ("cells", "machines", "sources", "jobs", "weights"):
                (self.path / room).mkdir(parents=True, exist_ok=True)
        return self

    def put_suite(self, text: str) -> None:
        self._put(self.path / "suite.yaml", text)

    def put_facts(self, kind: str, identity: str, facts: Mapping[str, Any]) -> None:
        """Store a cell, machine or source once; what is there already is not written again."""
        path = self.path / kind / f"{identity}.json"
        if not path.exists():
            self._put(path, json.dumps(facts, indent=1, ensure_ascii=False) + "\n")

    def weights_folder(self, cell_id: str) -> Path:
        return self.path / "weights" / cell_id

    def writer(self, header: Mapping[str, Any], keep: Iterable[Record] = ()) -> JobWriter:
        """Open a job's file for writing, beginning with the records to ``keep`` of an interrupted run."""
        return JobWriter(self.job_path(header["job_id"], header["machine_id"]), header, keep)

    def _put(self, path: Path, text: str) -> None:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            # The process id keeps two workers that store the same facts from writing into one file.
            temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, path)


class JobWriter:
    """Writes one job's records, each on disk before the next is measured; ``finish`` makes the file count."""

    def __init__(self, path: Path, header: Mapping[str, Any], keep: Iterable[Record]) -> None:
        self.path = path
        self._partial = _partial(path)
        with storage_errors(path):
            kept = [record.to_json() for record in keep]
            # The kept lines are safe in the old .partial until the new one stands beside it.
            fresh = self._partial.with_suffix(".fresh")
            self._file: TextIO = open(fresh, "w", encoding="utf-8")  # noqa: SIM115 - closed by finish and close
            for line in (json.dumps(dict(header), ensure_ascii=False), *kept):
                self._file.write(line + "\n")
            self._sync()
            os.replace(fresh, self._partial)

    def write(self, record: Record) -> None:
        """Raises StorageError if the disk is full; what was written before stays readable."""
        with storage_errors(self.path):
            self._file.write(record.to_json() + "\n")
            # Handed to the system at once: a killed process loses nothing. fsync (power loss) is paid once, in finish().
            self._file.flush()

    def finish(self) -> None:
        with storage_errors(self.path):
            self._sync()
            self._file.close()
            os.replace(self._partial, self.path)

    def close(self) -> None:
        """Leave the file unfinished, as ``.partial``."""
        if not self._file.closed:
            with storage_errors(self.path):
                self._sync()
                self._file.close()

    def _sync(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an OSError into one clear message that names the file and what stays as it was."""
    try:
        yield
    except OSError as error:
        what = {
            errno.ENOSPC: "the disk is full",
            errno.EDQUOT: "the disk quota is used up",
            errno.EROFS: "the disk is read-only",
            errno.EACCES: "no permission to write",
            errno.ENOTDIR: "a file stands where a folder is needed",
        }.get(error.errno or 0, error.strerror or str(error))
        message = f"{error.filename or path}: {what}; finished results in the folder stay as they were"
        raise StorageError(message) from error


def _partial(path: Path) -> Path:
    return path.with_suffix(".partial")


def _job_of(path: Path) -> str:
    return path.stem.partition("-")[0]


def _records(lines: Iterable[str], header: Mapping[str, Any]) -> Iterator[Record]:
    ids = {name: str(header[name]) for name in ("job_id", "cell_id", "machine_id", "source_id")}
    for line in lines:
        if line.strip():
            yield Record.from_json(line, **ids)


def _reason(error: Exception) -> str:
    if isinstance(error, IndexError):
        return "empty"
    if isinstance(error, KeyError):
        return f"no {error}"
    return str(error).split("\n")[0]
