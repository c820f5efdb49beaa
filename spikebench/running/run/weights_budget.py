"""How much weights may take on the disk: what is finished gives way, never what a job to do, or a resume, needs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from spikebench.core.cells import Job
from spikebench.core.errors import InputError, Problem
from spikebench.core.quantity import parse_quantity
from spikebench.core.store import ResultsFolder

MAIN = "weights.pt"
SPARE = ("best.pt", "last.pt")
"""What a training keeps beside the weights that are measured."""


def parse(text: str | None) -> int | None:
    """Bytes of ``20 GiB``. Raises InputError that names the option."""
    if text is None:
        return None
    try:
        size = parse_quantity(text, "B")
        if size < 0:
            raise InputError(f"must be at least 0 B, got {text}")
    except InputError as error:
        raise InputError([Problem(problem.message, key="--max-weights") for problem in error.problems]) from None
    return int(size)


def size_of(size: float) -> str:
    """``1.2 GiB``."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


@dataclass
class WeightsBudget:
    """``limit``: bytes of the files in ``weights/``, TensorBoard's aside; None: as many as there are.

    First go the spare weights (``best.pt``, ``last.pt``) of networks of which nothing is left to do, then their ``weights.pt``,
    the oldest first. Checkpoints of trainings that are begun stay, as do weights that jobs to do, or failed ones, measure or
    start from. A training whose weights are gone counts as done until a new measurement needs them.
    """

    store: ResultsFolder
    limit: int | None
    told: bool = False

    def keep(self, unfinished: Collection[Job]) -> Iterator[str]:
        """Drop what may go; says what was dropped, and once if the rest is still too much."""
        if self.limit is None:
            return
        needed = {cell.cell_id for job in unfinished for cell in (job.cell, job.cell.pretraining_cell) if cell is not None}
        files = {path: _size(path) for path in (self.store.path / "weights").glob("*/*.*") if path.suffix in (".pt", ".partial")}
        total = sum(files.values())
        free = [path for path in files if path.parent.name not in needed and path.name in (MAIN, *SPARE)]
        free.sort(key=lambda path: (path.name == MAIN, _age(path), str(path)))
        dropped: list[Path] = []
        while total > self.limit and free:
            path = free.pop(0)
            with suppress(OSError):
                path.unlink()
                total -= files[path]
                dropped.append(path)
        if dropped:
            names = ", ".join(f"{path.parent.name[:8]}/{path.name}" for path in dropped[:3])
            more = f" and {len(dropped) - 3} more" if len(dropped) > 3 else ""
            size = size_of(sum(files[path] for path in dropped))
            yield f"dropped weights of finished networks, {size}: {names}{more} (--max-weights); their results stay"
        if total > self.limit and not self.told:
            self.told = True
            yield (
                f"weights take {size_of(total)}, more than --max-weights {size_of(self.limit)}: "
                "what is left is needed by jobs to do, or by trainings that are begun"
            )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
