"""A folder of classes, each a folder of files: what is in it, and what is wrong with it as far as names tell."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from spikebench.core.errors import MOST_NAMES, Problem, nearest
from spikebench.data._files import content_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SPLIT_WORDS = ("train", "training", "val", "valid", "validation", "test", "testing", "dev", "eval")
"""A folder of such a name is no class of images."""
FEW = 256
"""Bytes in the middle of a file."""
IMAGES = (".jpg", ".jpeg", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp")


@dataclass(frozen=True)
class Listing:
    """``files``: paths below the folder with forward slashes, sorted; ``labels``: the number of each one's class.

    ``places``: where they lie in an archive, which ``folder`` then is: offset and size, (n, 2) int64; None: each is a file.
    """

    folder: Path
    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: tuple[int, ...]
    places: NDArray[np.int64] | None = field(default=None, compare=False)

    def __len__(self) -> int:
        return len(self.files)

    def sizes(self) -> Iterator[tuple[str, int]]:
        """Each file's size in bytes; 0 for one that has gone."""
        if self.places is not None:
            yield from zip(self.files, self.places[:, 1].tolist(), strict=True)
            return
        for file in self.files:
            try:
                yield file, (self.folder / file).stat().st_size
            except OSError:
                yield file, 0

    def content(self, file: str) -> bytes:
        """All of a file; nothing for one that has gone."""
        return self._bytes(file, 0, None)

    def middle(self, file: str, size: int) -> bytes:
        """A few bytes of a file of this size, which tell most files of equal size apart."""
        return self._bytes(file, max(0, size // 2 - FEW), FEW)

    def _bytes(self, file: str, start: int, count: int | None) -> bytes:
        try:
            if self.places is None:
                with (self.folder / file).open("rb") as stream:
                    stream.seek(start)
                    return stream.read(-1 if count is None else count)
            offset, size = self.places[bisect_left(self.files, file)].tolist()
            return read_place(self.folder, offset + start, size - start if count is None else count)
        except OSError:
            return b""

    def empty(self) -> list[str]:
        """Classes without a file."""
        there = set(self.labels)
        return [name for number, name in enumerate(self.classes) if number not in there]


def read_place(archive: Path, offset: int, size: int) -> bytes:
    """What lies there in an archive. Raises OSError."""
    with archive.open("rb") as stream:
        stream.seek(offset)
        return stream.read(size)


def classes_of(folder: Path) -> tuple[str, ...]:
    """Names of the folders in a folder, sorted, hidden ones left out."""
    with os.scandir(folder) as entries:
        return tuple(sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")))


@lru_cache(maxsize=8)
def list_folder(folder: Path, suffixes: tuple[str, ...] = IMAGES) -> Listing:
    """All files with one of these endings, in whatever case, however deep they lie in their class's folder."""
    classes = classes_of(folder)
    files: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        found = sorted(_below(folder / name, name, suffixes))
        files += found
        labels += [label] * len(found)
    return Listing(folder, classes, tuple(files), tuple(labels))


def why_no_classes(root: Path) -> str:
    """Why the folders in ``root`` cannot be the classes of a data set; "" if they can."""
    classes = classes_of(root)
    split = next((name for name in classes if name.lower() in SPLIT_WORDS), None)
    if split is not None:
        return f"there is no train{nearest('train', classes)}" if split != "train" else ""
    if len(classes) == 1:
        deeper = f"; is {root / classes[0]} the root?" if classes_of(root / classes[0]) else ""
        return f"there is one folder alone, {classes[0]}, and one class is nothing to learn{deeper}"
    if not any(_has_images(root / name) for name in classes):
        return f"no image lies in {_some('folder', classes)} directly; are the classes one folder deeper?"
    return ""


def _has_images(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(entry.name.lower().endswith(IMAGES) and entry.is_file() for entry in entries)


def _below(folder: Path, prefix: str, suffixes: tuple[str, ...]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir():
                yield from _below(Path(entry.path), f"{prefix}/{entry.name}", suffixes)
            elif entry.name.lower().endswith(suffixes):
                yield f"{prefix}/{entry.name}"


def class_problems(listings: Mapping[str, Listing]) -> Iterator[Problem]:
    """Why these splits, ``train`` first, are no data set: no classes, empty ones, and such as not all splits have."""
    train = listings["train"]
    for name, listing in listings.items():
        if not listing.classes:
            yield Problem(f"no folder of a class in {listing.folder}: expected {name}/CLASS/*", key="root")
        elif listing.empty():
            yield Problem(f"{listing.folder}: no files for {_some('class', listing.empty())}", key="root")
        if name == "train" or not listing.classes or not train.classes:
            continue
        missing = [label for label in train.classes if label not in listing.classes]
        unknown = [label for label in listing.classes if label not in train.classes]
        if missing:
            yield Problem(f"{listing.folder} lacks {_some('class', missing)} of train", key="root")
        if unknown:
            hint = nearest(unknown[0], train.classes)
            yield Problem(f"{listing.folder} has {_some('class', unknown)}, which train has not{hint}", key="root")


def _some(what: str, names: Sequence[str]) -> str:
    shown, more = ", ".join(names[:MOST_NAMES]), len(names) - MOST_NAMES
    plural = "" if len(names) == 1 else "es" if what.endswith("s") else "s"
    return f"the {what}{plural} {shown}{f' and {more} more' if more > 0 else ''}"


def listing_content(listings: Mapping[str, Listing], sized: bool) -> str:
    """What the splits hold, by names, and by sizes where that many files can be asked."""
    return content_of(
        (f"{split}/{name}", size)
        for split, listing in listings.items()
        for name, size in (listing.sizes() if sized else ((file, 0) for file in listing.files))
    )
