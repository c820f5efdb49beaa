"""What a chain of jobs takes along to a machine that does not see the results folder: what earlier work left, and own files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from spikebench.core import job_files, own_files
from spikebench.core.cells import Job
from spikebench.core.own_files import OwnFiles
from spikebench.core.store import ResultsFolder

OWN = "own"
"""Where files of one's own lie there, each folder of theirs under a number: two may have files of one name."""


def files(folder: Path, chain: Sequence[Job], own: OwnFiles) -> Mapping[str, Path]:
    """Names below the other folder -> files here: weights and checkpoints of the chain's cells and of those that they start from,
    records that unfinished and failed jobs left, and own files with the modules beside them."""
    store = ResultsFolder(folder)
    found = {path.relative_to(folder).as_posix(): path for path in _left(store, chain)}
    for path in own.paths:
        for name, file in own_files.code_files(path):
            found[f"{_room(own, path)}/{name}"] = file
    return found


def moved(own: OwnFiles, folder: Path) -> OwnFiles:
    """The same files, where they are below the other folder."""
    listed, named = (tuple(folder / _room(own, path) / path.name for path in paths) for paths in (own.listed, own.named))
    return OwnFiles(listed, named)


def _room(own: OwnFiles, path: Path) -> str:
    return f"{OWN}/{list(dict.fromkeys(one.parent for one in own.paths)).index(path.parent)}"


def _left(store: ResultsFolder, chain: Sequence[Job]) -> Iterator[Path]:
    for job in chain:
        folder = store.weights_folder(job.cell.cell_id)
        yield from (path for path in sorted(folder.glob("*.pt")) if path.is_file())
        if job.cell.pretraining_cell is not None:
            weights = store.weights_folder(job.cell.pretraining_cell.cell_id) / "weights.pt"
            yield from [weights] * weights.is_file()
        yield from (left.path for left in job_files.unfinished(store.path / "jobs", f"{job.job_id}-"))
        yield from store.files_of(job.job_id)
