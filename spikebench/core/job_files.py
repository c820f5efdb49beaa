"""One job's file: a header line with the ids, one record a line, and a last line that says how many there are.

While it is written it is ``jobs/unfinished/<job_id>-<machine_id>.<process>.partial``, a name of the writer's own: two that
measure the same job never touch each other's file. When whole it is renamed to ``jobs/<job_id>-<machine_id>.jsonl``, so the
finished file *is* the resume state. A job that is stopped on purpose leaves ``.kept`` instead of ``.partial``: a ``.partial``
whose process is gone tells that the process died over it.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from spikebench.core import json_text
from spikebench.core.errors import DiskError, StorageError, storage_errors
from spikebench.core.process import Process, this_process
from spikebench.core.record_lines import Lines
from spikebench.core.records import Record

SCHEMA = 2
"""1: without the last line that counts the records."""
IDS = ("job_id", "cell_id", "machine_id", "source_id")


class NewerError(ValueError):
    """The file was written by a newer spikebench."""


@dataclasses.dataclass(frozen=True)
class JobFile:
    """A job's file as read: its header, its records, and whether it stands for finished work."""

    path: Path
    header: Mapping[str, Any]
    records: tuple[Record, ...]

    @cached_property
    def failed(self) -> bool:
        return any(record.status == "failed" for record in self.records)

    @property
    def done(self) -> bool:
        """Whether nothing is left to do: a file without records, or with a failed one, is none that a run may rest on."""
        return bool(self.records) and not self.failed


def read(path: Path, reader: Lines | None = None) -> JobFile:
    """A finished file. Raises OSError; NewerError; ValueError for one that is damaged, or shorter than its last line says.

    ``reader``: one for many files shares what their records have in common.
    """
    with path.open(encoding="utf-8") as stream:
        first = stream.readline().removesuffix("\n")
        if not first:
            raise ValueError("empty")
        header = read_header(first)
        return JobFile(path, header, tuple((reader or Lines()).records(_body(stream, header["schema"]), _ids(header))))


def _body(stream: TextIO, schema: int) -> Iterator[str]:
    """The lines between the header and the last one. Raises ValueError at the end if that does not count them."""
    count, last = 0, ""
    for line in stream:
        if line.isspace():
            continue
        if last:
            yield last
            count += 1
        last = line.removesuffix("\n")
    if schema == 1:
        if not last:
            raise ValueError("a header without records")
        yield last
        return
    counted = json_text.parse_object(last).get("records") if last else None
    if type(counted) is not int:
        raise ValueError("cut off: its last line does not count its records")
    if counted != count:
        raise ValueError(f"{count} records, of {counted} by its last line")


def read_header(line: str) -> dict[str, Any]:
    """Raises NewerError, ValueError."""
    header = json_text.parse_object(line)
    schema = header.get("schema")
    if type(schema) is not int or schema < 1:
        raise ValueError("no schema in its header")
    if schema > SCHEMA:
        raise NewerError(f"written by a newer spikebench (schema {schema}, this one reads {SCHEMA})")
    missing = [name for name in IDS if not isinstance(header.get(name), str)]
    if missing:
        raise ValueError(f"no {', '.join(missing)} in its header")
    if not isinstance(header.get("harness", ""), str):
        raise ValueError("a harness in its header that is no name")
    if not isinstance(header.get("options") or {}, dict):
        raise ValueError("options in its header that are no mapping")
    return header


def _ids(header: Mapping[str, Any]) -> dict[str, str]:
    return {name: header[name] for name in IDS}


def header_at(path: Path) -> dict[str, Any] | None:
    """The header of a finished file, without reading the rest; None where there is none that can be read. Raises NewerError."""
    try:
        with path.open(encoding="utf-8") as stream:
            return read_header(stream.readline())
    except NewerError:
        raise
    except (OSError, ValueError):
        return None


# -- unfinished files --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Unfinished:
    """What a writer left: ``process`` is who wrote it (None in folders of schema 1), ``kept`` whether it was left on purpose."""

    path: Path
    process: Process | None

    @property
    def kept(self) -> bool:
        return self.path.suffix == ".kept"

    @property
    def in_use(self) -> bool:
        """Whether another process of this host is writing it."""
        return not self.kept and self.process not in (None, this_process()) and bool(self.process and self.process.alive)

    @property
    def crashed(self) -> bool:
        """Whether the process that wrote it is gone without a word; of other hosts it is not known."""
        return not self.kept and self.process is not None and self.process.alive is False

    @property
    def job_id(self) -> str:
        return self.path.name.partition("-")[0]


def unfinished(jobs: Path, stem: str = "") -> list[Unfinished]:
    """All that was begun in a folder's ``jobs``; that of one job's file (``<job_id>-<machine_id>``), or of a job on any machine
    (``<job_id>-``), if its name begins so."""
    found = []
    try:
        names = sorted(os.listdir(jobs / "unfinished"))
    except OSError:
        names = []
    for name in names:
        if not name.startswith(stem) or not name.endswith((".partial", ".kept")):
            continue
        try:
            process = Process.parse(name.rpartition(".")[0].partition(".")[2])
        except ValueError:
            process = None
        found.append(Unfinished(jobs / "unfinished" / name, process))
    old = jobs / f"{stem}.partial"
    return [*found, Unfinished(old, None)] if stem and old.is_file() else found


def unfinished_jobs(jobs: Path) -> frozenset[str]:
    """Of a folder's ``jobs``: the ids of those of which ``unfinished`` finds anything."""
    names = [path.name for folder in (jobs, jobs / "unfinished") if folder.is_dir() for path in folder.iterdir()]
    return frozenset(name.partition("-")[0] for name in names if name.endswith((".partial", ".kept")))


def read_unfinished(path: Path) -> tuple[tuple[Record, ...], str | None]:
    """The whole lines of an unfinished file, and what was lost of it, if anything was: a torn last line is dropped."""
    try:
        lines = path.read_bytes().split(b"\n")
        header = read_header(lines[0].decode())
    except (OSError, ValueError):
        return (), "torn before its first record; dropped"
    found: list[Record] = []
    reader, ids = Lines(), _ids(header)
    for line in lines[1:-1]:
        try:
            found += reader.records([line.decode()], ids)
        except ValueError:
            return tuple(found), f"torn after {len(found)} records; those are kept, the rest is measured again"
    return tuple(found), None


class JobWriter:
    """Writes one job's records, each on disk before the next is measured; ``finish`` makes the file count.

    ``keep``: records of an interrupted run to begin with. ``leftovers``: its files, removed when all that they hold is in the
    finished one. Raises StorageError if there is a finished file of a newer spikebench; DiskError if nothing can be written.
    """

    def __init__(
        self, path: Path, header: Mapping[str, Any], keep: Iterable[Record] = (), leftovers: Iterable[Path] = ()
    ) -> None:
        self.path = path
        self._leftovers = list(leftovers)
        self._refuse_newer()
        folder = path.parent / "unfinished"
        self._partial = folder / f"{path.stem}.{this_process()}.partial"
        try:
            with storage_errors(path):
                folder.mkdir(exist_ok=True)
                # Appending: what another process cuts off or adds shows in the size.
                self._file: BinaryIO = open(self._partial, "ab")  # noqa: SIM115 - closed by finish and close
                self._file.truncate(0)
        except StorageError as error:
            # All jobs write into this folder: what keeps one out keeps out every one.
            raise DiskError(str(error)) from error
        self._inode = os.fstat(self._file.fileno()).st_ino
        self._count = self._size = 0
        self._line(json.dumps({"schema": SCHEMA} | {**header, "schema": SCHEMA}, ensure_ascii=False))
        for record in keep:
            self.write(record)

    def write(self, record: Record) -> None:
        """Raises DiskError if the disk is full; what was written before stays readable."""
        self._line(record.to_json())
        self._count += 1

    def finish(self) -> None:
        """Raises StorageError, and leaves what was finished before as it was, if the file is not there as it was written."""
        self._line(json.dumps({"records": self._count}))
        with storage_errors(self.path):
            os.fsync(self._file.fileno())
            self._file.close()
            self._refuse_newer()
            if not self._is_as_written():
                raise StorageError(f"{self._partial}: was taken away or changed while the job ran; the next run does it again")
            os.replace(self._partial, self.path)
        for leftover in self._leftovers:
            with suppress(OSError):
                leftover.unlink()

    def close(self) -> None:
        """Leave the file unfinished, as ``.kept``; nothing after ``finish``. Raises nothing: every line is on disk already."""
        if self._file.closed:
            return
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            if self._is_as_written():
                os.replace(self._partial, self._partial.with_suffix(".kept"))

    def _line(self, text: str) -> None:
        line = f"{text}\n".encode("utf-8", "replace")
        self._size += len(line)
        with storage_errors(self.path):
            self._file.write(line)
            # Handed to the system at once: a killed process loses nothing. fsync (power loss) is paid once, in finish().
            self._file.flush()

    def _is_as_written(self) -> bool:
        try:
            there = os.stat(self._partial)
        except FileNotFoundError:
            return False
        return (there.st_ino, there.st_size) == (self._inode, self._size)

    def _refuse_newer(self) -> None:
        try:
            header_at(self.path)
        except NewerError as error:
            raise StorageError(f"{self.path}: {error}; not overwritten") from error
