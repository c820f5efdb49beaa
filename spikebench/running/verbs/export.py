"""What the verb ``export`` does: hand a trained network on in a format of others."""

from __future__ import annotations

from pathlib import Path

from spikebench.core.errors import InputError, nearest, storage_errors
from spikebench.core.registry import REGISTRIES
from spikebench.running.exports import _source


def export(results: Path, group: str | None, seed: int | None, format_: str, out: Path) -> list[Path]:
    """Write the network of a group (of its first seed, or of ``seed``) and return the files.

    Raises InputError for an unknown format or group and for what the format has no words for, StorageError where there are no
    weights or ``out`` cannot be written.
    """
    registry = REGISTRIES["exports"]
    name = format_.replace("-", "_")
    if name not in registry:
        known = [member.replace("_", "-") for member in registry]
        raise InputError(f"unknown export format {format_!r}{nearest(format_, known)}")
    source = _source.find(results, group, seed)
    with storage_errors(out):
        out.mkdir(parents=True, exist_ok=True)
    written: list[Path] = registry.get(name)().write(source, out)
    return written
