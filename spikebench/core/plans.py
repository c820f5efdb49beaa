"""What a results folder is wanted for: ``plans/``, a file of job ids for each suite that was run into it.

``plans/<verb>-<device>-<id>.jsonl`` has a line ``{"job_id": ..., "cell_id": ...}`` for each job that the suite asks for, pending
ones too. Reading shows the jobs and cells of all plans together and names the rest superseded; a folder without plans (written
before there were any) shows all that it has.

A ``run`` whose jobs are not those of a plan that is there writes its own and removes the earlier ones of the same verb and kind
of device: what left the suite is superseded. The id is a digest of the jobs, so copying folders together joins their plans, and
a run of either suite leaves them joined. A search adds the jobs of each trial as it begins. One driver writes; files are renamed
into place or grow by lines that may come again, so a kill loses at most the line that it tore.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from spikebench.core import json_text
from spikebench.core.cells import Job, digest
from spikebench.core.job_files import NewerError, header_at

Line = tuple[str, str]
"""Ids of a job and of its cell."""
MOST_NAMED = 5
GROWS = "search-"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """Ids of the jobs and cells that the plans of a folder name."""

    jobs: frozenset[str]
    cells: frozenset[str]


class Plans:
    """The plans of one results folder. Raises OSError as the system does; see ``errors.storage_errors``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "plans"

    def wanted(self) -> Wanted | None:
        """All plans joined; None if there are none. Raises ValueError if one is not as it was written: what it has lost would
        pass for superseded."""
        lines: list[Line] = []
        for path in sorted(self.folder.glob("*.jsonl")):
            own = list(_read(path))
            if not _is_whole(path, own):
                raise ValueError(f"{path.name} is damaged")
            lines += own
        return Wanted(frozenset(job for job, _ in lines), frozenset(cell for _, cell in lines)) if lines else None

    def any(self) -> bool:
        """Whether there is a plan, whole or not."""
        return next(self.folder.glob("*.jsonl"), None) is not None

    def replace(self, verb: str, device: str, lines: Sequence[Line]) -> bool:
        """Want these jobs in place of what the verb wanted before on this kind of device; whether that is anything new."""
        identity = digest(sorted(lines))
        path = self._path(verb, device, identity)
        if path.exists() and _is_whole(path, _read(path)):
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(_text(lines))
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
        self.forget(verb, device, identity)
        return True

    def add(self, verb: str, device: str, identity: str, lines: Iterable[Line]) -> None:
        """Want these jobs too. ``identity``: of what they belong to; jobs that are there already may come again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._path(verb, device, identity).open("a+b") as stream:
            # A line that a kill tore ends here, or the next one would be lost with it.
            end = stream.seek(0, os.SEEK_END)
            stream.seek(max(0, end - 1))
            torn = end > 0 and stream.read(1) != b"\n"
            stream.write((b"\n" if torn else b"") + _text(lines).encode())

    def lines(self, verb: str, device: str, identity: str) -> set[Line]:
        """What one plan names; nothing if it is not there."""
        path = self._path(verb, device, identity)
        return set(_read(path)) if path.exists() else set()

    def forget(self, verb: str, device: str, but: str) -> None:
        """Want no more what the verb wanted on this kind of device, the plan of this identity apart."""
        for path in set(self.folder.glob(f"{verb}-{device}-*.jsonl")) - {self._path(verb, device, but)}:
            path.unlink()

    def _path(self, verb: str, device: str, identity: str) -> Path:
        return self.folder / f"{verb}-{device}-{identity}.jsonl"


def lines_of(jobs: Iterable[Job]) -> list[Line]:
    return [(job.job_id, job.cell.cell_id) for job in jobs]


def superseded(files: Mapping[str, Path]) -> str:
    """What a reader is told of finished files that no plan names, by job id."""
    named = [f"{_harness(path)} {job_id[:8]}" for job_id, path in itertools.islice(files.items(), MOST_NAMED)]
    more = f" and {len(files) - MOST_NAMED} more" if len(files) > MOST_NAMED else ""
    jobs = "1 job is" if len(files) == 1 else f"{len(files)} jobs are"
    return f"{jobs} superseded: no suite that was run here last asks for {', '.join(named)}{more}; kept, but not shown"


def _is_whole(path: Path, lines: Iterable[Line]) -> bool:
    """A plan that grows has no end that could be missing; the name of any other one is a digest of its lines."""
    return path.name.startswith(GROWS) or path.stem.rpartition("-")[2] == digest(sorted(lines))


def _text(lines: Iterable[Line]) -> str:
    return "".join(json.dumps({"job_id": job_id, "cell_id": cell_id}) + "\n" for job_id, cell_id in lines)


def _read(path: Path) -> Iterator[Line]:
    """Every line; a torn one is as good as none."""
    for line in path.read_bytes().split(b"\n"):
        try:
            data = json_text.parse_object(line.decode())
            yield str(data["job_id"]), str(data["cell_id"])
        except (ValueError, KeyError):
            continue


def _harness(path: Path) -> str:
    with contextlib.suppress(NewerError):
        return str((header_at(path) or {}).get("harness", "job"))
    return "job"
