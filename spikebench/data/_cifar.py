"""CIFAR's pickles, in their folder or still in the archive that they are published in."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar

import numpy as np

from spikebench.core.errors import InputError, Problem, nearest
from spikebench.core.variant import InputSpec
from spikebench.data import SplitName, check_split
from spikebench.data._download import Archive, damaged, fetch
from spikebench.data._files import content_of, md5_of, root_of, same_content, unpickle
from spikebench.data._splits import cut

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spikebench.data._pixels import Pixels

SIZE = 32
Normal = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Published:
    """One of the two as its authors have it: files with their MD5, and what the labels are called in them."""

    classes: int
    folder: str
    archive: Archive
    train: tuple[tuple[str, str], ...]
    test: tuple[tuple[str, str], ...]
    label: str


class Cifar:
    """A subclass says which of the two it is. The published training images are cut 9 to 1 into train and validation."""

    version: ClassVar[int] = 1
    published: ClassVar[Published]
    normals: ClassVar[Mapping[str, Normal | None]]

    def __init__(self, options: Any) -> None:
        self.options = options

    @property
    def inputs(self) -> InputSpec:
        return InputSpec(channels=3, size=SIZE, classes=self.published.classes)

    def settle(self, folder: Path) -> dict[str, Any]:
        """``root`` as an absolute path, and ``content``: empty for the published files. Raises InputError if there are none."""
        root = root_of(self.options.root, folder)
        if self.options.download and _place(self.published, root) is None:
            return {"root": str(root)}
        content = _content(self.published, _found(self.published, root))
        same_content(content, self.options.content, root)
        return {"root": str(root), **({"content": content} if content else {})}

    def split(self, name: SplitName) -> Pixels:
        """x (3, 32, 32) float32, normalised; y int64. Raises InputError for files that are missing or damaged."""
        import torch

        from spikebench.data._pixels import Pixels

        check_split(name)
        root = root_of(self.options.root)
        if self.options.download and _place(self.published, root) is None:
            fetch(self.published.archive, root)
        x, y = _arrays(self.published, _found(self.published, root), name == "test")
        if name != "test":
            chosen = cut(y, name, self.options.full_train)
            x, y = x[chosen], y[chosen]
        return Pixels(torch.from_numpy(x), torch.from_numpy(y), normal=self.normals[self.options.normalise])


def _place(published: Published, root: Path) -> Path | None:
    """The folder with the files, ``root`` itself perhaps, or the archive; None if there is neither."""
    first = published.train[0][0]
    folders = [root / published.folder, *([root] if (root / first).is_file() else [])]
    return next((place for place in [*folders, root / published.archive.name] if place.exists()), None)


def _found(published: Published, root: Path) -> Path:
    place = _place(published, root)
    if place is None:
        there = sorted(path.name for path in root.iterdir())
        wanted = f"neither {published.folder}/ nor {published.archive.name} in {root}; download: true fetches it"
        raise InputError(Problem(f"{wanted}{nearest(published.folder, there) if there else '; the folder is empty'}", key="root"))
    return place


@lru_cache(maxsize=4)
def _content(published: Published, place: Path) -> str:
    """Nothing if all is as published. Raises InputError for a file that is missing, and for a cut-off archive."""
    if place.is_file():
        with place.open("rb") as stream:
            if md5_of(stream) == published.archive.md5:
                return ""
    known = dict(published.train + published.test)
    found = {name: _with(published, place, name, md5_of) for name in known}
    return "" if found == known else content_of(found.items())


@lru_cache(maxsize=4)
def _arrays(published: Published, place: Path, test: bool) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (n, 3, 32, 32) and labels (n,) in the files' order; every job of a run asks for the same ones."""
    read = []
    for name, _ in published.test if test else published.train:
        path = str(place / name)
        read.append(_batch(published, _with(published, place, name, lambda stream, path=path: unpickle(stream, path)), path))  # type: ignore[misc]
    return np.concatenate([images for images, _ in read]), np.concatenate([labels for _, labels in read])


def _batch(published: Published, data: Any, name: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Raises InputError for anything but (n, 3072) bytes with n labels of the data set's classes."""
    x, y = (data.get(key) if isinstance(data, dict) else None for key in ("data", published.label))
    wrong = ""
    if not isinstance(x, np.ndarray) or x.dtype != np.uint8 or x.ndim != 2 or x.shape[1] != 3 * SIZE**2:
        found = f"{x.dtype} {x.shape}" if isinstance(x, np.ndarray) else "none"
        wrong = f"expected data (n, {3 * SIZE**2}) of bytes, found {found}"
    elif not isinstance(y, list) or len(y) != len(x):
        wrong = f"expected {len(x)} {published.label}, found {len(y) if isinstance(y, list) else 'none'}"
    elif not all(isinstance(label, int) and 0 <= label < published.classes for label in y):
        wrong = f"has {published.label} outside of 0 to {published.classes - 1}"
    if wrong:
        raise InputError(Problem(f"{name}: {wrong}", key="root"))
    assert isinstance(x, np.ndarray)
    return x.reshape(-1, 3, SIZE, SIZE), np.array(y, dtype=np.int64)


def _with(published: Published, place: Path, name: str, action: Callable[[BinaryIO], Any]) -> Any:
    """What ``action`` makes of a file, wherever it is. Raises InputError if it is not there."""
    if not place.is_dir():
        return action(io.BytesIO(_unpacked(published, place)[name]))
    path = place / name
    if not path.is_file():
        raise InputError(Problem(f"no such file: {path}", key="root"))
    with path.open("rb") as stream:
        return action(stream)


@lru_cache(maxsize=1)
def _unpacked(published: Published, place: Path) -> dict[str, bytes]:
    """The files of an archive by name, without a folder on the disk: it is read once, from its first byte to its last."""
    wanted = {f"{published.folder}/{name}": name for name, _ in published.train + published.test}
    found = {}
    try:
        with tarfile.open(place, "r|gz") as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.name in wanted else None
                if stream is not None:
                    found[wanted[member.name]] = stream.read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise InputError(damaged(place, error)) from error
    missing = sorted(set(wanted.values()) - set(found))
    if missing:
        raise InputError(Problem(f"{place}: has no {', '.join(missing)}", key="root"))
    return found
