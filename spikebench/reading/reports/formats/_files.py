"""Writing the files of a report: one clear error where the disk refuses."""

from __future__ import annotations

from pathlib import Path

from spikebench.core.errors import storage_errors


def write(path: Path, content: str | bytes) -> Path:
    """Write a file and the folders above it. Raises StorageError on a full or read-only disk."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path
