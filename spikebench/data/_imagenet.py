"""ILSVRC 2012 as it is published, an archive of archives: read where it lies, never unpacked."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from spikebench.core.errors import InputError, Problem
from spikebench.data._listing import Listing

if TYPE_CHECKING:
    from numpy.typing import NDArray

TRAIN, VAL, DEVKIT = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"
BLOCK, RECORD = 512, 10240
"""Bytes of a header, and to a multiple of which an archive is filled up with zeros."""
Member = tuple[str, int, int]
"""Name, offset of its content, size."""


class Range(io.RawIOBase):
    """A stretch of an open file, as a file."""

    def __init__(self, stream: BinaryIO, start: int, size: int) -> None:
        self.stream, self.start, self.size, self.at = stream, start, size, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.at

    def seek(self, offset: int, whence: int = 0) -> int:
        self.at = offset + (0 if whence == 0 else self.at if whence == 1 else self.size)
        return self.at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self.size - self.at)
        self.stream.seek(self.start + self.at)
        found = self.stream.read(left if size < 0 else min(size, left))
        self.at += len(found)
        return found


def members(archive: Path, stream: BinaryIO, start: int, size: int, name: str = "") -> Iterator[Member]:
    """The files of an archive, or of one within it, by their headers alone. Raises InputError if it ends early or has a hole."""
    damaged = f"{archive}{f' ({name})' if name else ''}: ends early or is damaged"
    again = f"({archive.stat().st_size:,} bytes): remove it and download it again"
    try:
        with tarfile.open(fileobj=Range(stream, start, size), mode="r:") as found:
            for member in found:
                if member.isfile():
                    yield member.name, start + member.offset_data, member.size
                found.members = []  # type: ignore[attr-defined]  # else it keeps a million of them
            end = found.offset
    except (tarfile.TarError, OSError) as error:
        raise InputError(Problem(f"{damaged} ({error}) {again}", key="root")) from error
    # tarfile takes whatever is no header for the end.
    stream.seek(start + min(end, size))
    tail = stream.read(max(0, size - end)) if size - end <= 2 * RECORD else b""
    if len(tail) < BLOCK or any(tail):
        raise InputError(Problem(f"{damaged} {again}", key="root"))


@lru_cache(maxsize=4)
def classes_in(root: Path) -> tuple[str, ...]:
    """The archives in the training archive, by name and sorted."""
    with (root / TRAIN).open("rb") as stream:
        found = members(root / TRAIN, stream, 0, (root / TRAIN).stat().st_size)
        return tuple(sorted(name.removesuffix(".tar") for name, _, _ in found if name.endswith(".tar")))


@lru_cache(maxsize=4)
def train_listing(root: Path) -> Listing:
    """Names as they are when unpacked, ``CLASS/file``. Raises InputError."""
    archive = root / TRAIN
    found = _kept(archive)
    if found is None:
        with archive.open("rb") as stream:
            found = sorted(
                (f"{name.removesuffix('.tar')}/{file}", offset, length)
                for name, start, size in list(members(archive, stream, 0, archive.stat().st_size))
                if name.endswith(".tar")
                for file, offset, length in members(archive, stream, start, size, name)
            )
        _keep(archive, found)
    return _listing(archive, classes_in(root), found)


@lru_cache(maxsize=4)
def val_listing(root: Path) -> Listing:
    """Each image under its class, as scripts that unpack it sort them. Raises InputError."""
    archive, of = root / VAL, _truth(root)
    with archive.open("rb") as stream:
        found = list(members(archive, stream, 0, archive.stat().st_size))
    numbered = []
    for name, offset, size in found:
        match = re.search(r"_(\d+)\.JPEG$", name)
        if match is None or not 1 <= int(match[1]) <= len(of):
            raise InputError(Problem(f"{archive}: {name} is none of the {len(of):,} images that {DEVKIT} knows", key="root"))
        numbered.append((f"{of[int(match[1]) - 1]}/{Path(name).name}", offset, size))
    return _listing(archive, tuple(sorted(set(of))), sorted(numbered))


def _listing(archive: Path, classes: tuple[str, ...], found: list[Member]) -> Listing:
    number = {name: label for label, name in enumerate(classes)}
    places = np.array([(offset, size) for _, offset, size in found], dtype=np.int64).reshape(-1, 2)
    files = tuple(name for name, _, _ in found)
    return Listing(archive, classes, files, tuple(number[name.partition("/")[0]] for name in files), places)


def _truth(root: Path) -> list[str]:
    """The class of each validation image, from the development kit. Raises InputError."""
    path = root / DEVKIT
    try:
        from scipy.io import loadmat

        with tarfile.open(path, "r:gz") as kit:
            parts = {Path(member.name).name: member for member in kit if member.isfile()}
            table: Any = io.BytesIO(_content(kit, parts["meta.mat"]))
            meta = loadmat(table)["synsets"].ravel()
            numbers = _content(kit, parts["ILSVRC2012_validation_ground_truth.txt"]).split()
        of = {_plain(row["ILSVRC2012_ID"]): str(_plain(row["WNID"])) for row in meta if _plain(row["num_children"]) == 0}
        return [of[int(number)] for number in numbers]
    except Exception as error:  # a damaged archive or table raises whatever it likes
        what = f"{path}: ends early or is damaged ({type(error).__name__}: {error}): remove it and download it again"
        raise InputError(Problem(what, key="root")) from error


def _content(kit: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = kit.extractfile(member)
    assert stream is not None, "a plain file has content"
    return stream.read()


def _plain(value: Any) -> Any:
    """Matlab's arrays of one."""
    return np.asarray(value).ravel()[0]


def _index(archive: Path) -> Path:
    return archive.with_name(f".{archive.name}.index.npz")


def _kept(archive: Path) -> list[Member] | None:
    """What was found the last time in this very file: a million headers take a minute."""
    try:
        with np.load(_index(archive), allow_pickle=False) as found:
            if found["stamp"].tolist() != _stamp(archive):
                return None
            places: NDArray[np.int64] = found["places"]
            return [(name, offset, size) for name, (offset, size) in zip(found["names"].tolist(), places.tolist(), strict=True)]
    except (OSError, ValueError, KeyError, EOFError):
        return None


def _keep(archive: Path, found: list[Member]) -> None:
    places = np.array([(offset, size) for _, offset, size in found], dtype=np.int64)
    partial = _index(archive).with_suffix(".partial.npz")
    with suppress(OSError):  # a folder that may only be read is read anew each time
        np.savez(partial, names=np.array([name for name, _, _ in found]), places=places, stamp=_stamp(archive))
        partial.replace(_index(archive))


def _stamp(archive: Path) -> list[int]:
    facts = archive.stat()
    return [facts.st_size, facts.st_mtime_ns]
