"""A folder's files, sent on as they change to who keeps a copy of it on another machine."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path, PurePosixPath

from spikebench.core.errors import storage_errors

PIECE = 8 << 20
"""Bytes that are sent at once: weights may be larger than the memory that messages should take."""
Stamp = tuple[int, int, int]
"""Inode, size and time of the last change: a file is rewritten as another one, or grows."""


@dataclasses.dataclass(frozen=True, slots=True)
class Piece:
    """A part of a file: ``data`` from byte ``start`` on. ``last``: the file is whole with it. ``grown``: it is added to the copy
    that is there, as a file of records grows. ``gone``: the file is no more."""

    path: str
    data: bytes = b""
    start: int = 0
    last: bool = True
    grown: bool = False
    gone: bool = False


def pieces(name: str, path: Path, start: int = 0, grown: bool = False) -> Iterator[Piece]:
    """A file, or what follows byte ``start`` of it; nothing if it is not there any more."""
    with suppress(FileNotFoundError), path.open("rb") as stream:
        stream.seek(start)
        data = stream.read(PIECE)
        while True:
            following = stream.read(PIECE)
            yield Piece(name, data, start, not following, grown)
            start += len(data)
            data = following
            if not data:
                return


class Mirror:
    """The sender: what has changed in ``folder`` since it was asked last. ``left_out``: rooms that are of no interest there."""

    def __init__(self, folder: Path, left_out: frozenset[str] = frozenset()) -> None:
        self.folder = folder
        self._left_out = left_out
        self._known: dict[str, Stamp] = {}

    def know(self) -> None:
        """Take all that is there for sent."""
        self._known = dict(self._stamps())

    def changes(self) -> Iterator[Piece]:
        """What is new comes before what is gone: a file that is renamed is never away."""
        found = dict(self._stamps())
        for name, stamp in found.items():
            before = self._known.get(name)
            if before == stamp:
                continue
            grown = before is not None and before[0] == stamp[0] and before[1] < stamp[1] and name.endswith(".partial")
            yield from pieces(name, self.folder / name, before[1] if grown and before is not None else 0, grown)
        yield from (Piece(name, gone=True) for name in self._known.keys() - found.keys())
        self._known = found

    def _stamps(self) -> Iterator[tuple[str, Stamp]]:
        waiting = [""]
        while waiting:
            room = waiting.pop()
            with suppress(FileNotFoundError), os.scandir(self.folder / room) as entries:
                for entry in entries:
                    name = f"{room}/{entry.name}" if room else entry.name
                    if entry.is_dir():
                        waiting += [name] if name not in self._left_out else []
                    elif _counts(name):
                        with suppress(FileNotFoundError):
                            facts = entry.stat()
                            yield name, (facts.st_ino, facts.st_size, facts.st_mtime_ns)


def _counts(name: str) -> bool:
    """Files that are being written under another name are nothing yet; a job's records count from the first one on."""
    return name.startswith("jobs/unfinished/") or not name.endswith((".partial", ".tmp", ".incoming"))


class Copy:
    """The receiver. Raises DiskError and StorageError where nothing can be written, ValueError for a path out of the folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def take(self, piece: Piece) -> None:
        name = PurePosixPath(piece.path)
        if name.is_absolute() or ".." in name.parts:
            raise ValueError(f"{piece.path!r} is not below a results folder")
        path = self.folder / name
        with storage_errors(path):
            if piece.gone:
                path.unlink(missing_ok=True)
                return
            path.parent.mkdir(parents=True, exist_ok=True)
            if piece.grown:
                _write(path, piece)
                return
            incoming = path.with_name(f"{path.name}.incoming")
            _write(incoming, piece)
            if piece.last:
                os.replace(incoming, path)


def _write(path: Path, piece: Piece) -> None:
    with path.open("r+b" if piece.start else "wb") as stream:
        stream.seek(piece.start)
        stream.write(piece.data)
        stream.truncate()
        if piece.last and not piece.grown:
            stream.flush()
            os.fsync(stream.fileno())


def luggage(files: Mapping[str, Path]) -> Iterator[Piece]:
    """Files under the names that they have where they are sent."""
    for name, path in files.items():
        yield from pieces(name, path)
