"""Frames of a whole event data set, integrated once and kept in one file that is read a batch at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from spikebench.core.errors import storage_errors
from spikebench.data._files import alone, check_limit

if TYPE_CHECKING:
    from numpy.typing import NDArray

Integrate = Callable[[Path], "NDArray[np.uint8]"]
AHEAD = 256
"""Files that are read before the frames of the first of them are written."""


@dataclass(frozen=True)
class Frames:
    """``x``: (n, T, 2, size, size) uint8, on the disk; ``kept``: which of the files these are; ``unreadable``: the others."""

    x: NDArray[np.uint8]
    kept: tuple[int, ...]
    unreadable: dict[str, str]


def cached(path: Path, files: Sequence[Path], shape: tuple[int, ...], integrate: Integrate, skip: float) -> Frames:
    """``path`` with the frames of ``files`` in their order, made if it is not there; of several processes one makes it.

    Raises InputError if more than the share ``skip`` of the files cannot be read, and if nothing can be written there.
    """
    notes = path.with_suffix(".json")
    with alone(path.with_suffix(".lock")):
        if not notes.is_file():
            _make(path, notes, files, shape, integrate, skip)
    found = json.loads(notes.read_text(encoding="utf-8"))
    check_limit(found["unreadable"], len(files), skip)
    # Copy on write: torch wants arrays that it could write to, and the file stays as it is.
    return Frames(np.load(path, mmap_mode="c")[: len(found["kept"])], tuple(found["kept"]), found["unreadable"])


def _make(path: Path, notes: Path, files: Sequence[Path], shape: tuple[int, ...], integrate: Integrate, skip: float) -> None:
    partial = path.with_suffix(".partial")
    kept: list[int] = []
    unreadable: dict[str, str] = {}

    def read(file: Path) -> NDArray[np.uint8] | str:
        try:
            return integrate(file)
        except Exception as error:  # a damaged zip raises whatever it likes
            return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"

    with storage_errors(path):
        rows = np.lib.format.open_memmap(partial, mode="w+", dtype=np.uint8, shape=(len(files), *shape))
        with ThreadPoolExecutor(4) as pool:
            for first in range(0, len(files), AHEAD):
                for index, found in enumerate(pool.map(read, files[first : first + AHEAD]), first):
                    if isinstance(found, str):
                        unreadable[str(files[index])] = found
                        check_limit(unreadable, len(files), skip)
                    else:
                        rows[len(kept)] = found
                        kept.append(index)
        rows.flush()
        partial.replace(path)
        notes.write_text(json.dumps({"kept": kept, "unreadable": unreadable}), encoding="utf-8")
