"""Which trainings were begun and not finished, by the names of their checkpoints. Loads no torch: a driver asks, too."""

from __future__ import annotations

from pathlib import Path

from spikebench.core.source import source


def begun(folder: Path, job_id: str) -> Path:
    """Where a training of this job by this code keeps its checkpoint.

    What another device or other code has begun is a file of its own: half a training of each would be one that no code makes.
    """
    return folder / f"checkpoint-{job_id}-{source()['source_id']}.pt"


def all_begun(folder: Path, job_id: str) -> list[Path]:
    """Checkpoints of this job by whatever code."""
    return sorted(folder.glob(f"checkpoint-{job_id}-*.pt"))


def forget(folder: Path, job_id: str) -> None:
    """Take away all that was begun of this job, and what a kill while writing it may have left."""
    for path in (*folder.glob(f"checkpoint-{job_id}-*.pt"), *folder.glob(f"checkpoint-{job_id}-*.partial")):
        path.unlink(missing_ok=True)
