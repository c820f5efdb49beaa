"""Data sets of event recordings: from archives to event files (SpikingJelly's readers) to frames (ours), each made once."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from spikebench.core.errors import InputError, Problem, nearest
from spikebench.core.variant import InputSpec
from spikebench.data import SPLITS, SplitName, check_split
from spikebench.data._bounds import outside
from spikebench.data._download import Archive, damaged, fetch, require_whole
from spikebench.data._events import SENSOR, frames_of, read_events
from spikebench.data._files import alone, root_of, same_content
from spikebench.data._frames import cached
from spikebench.data._listing import Listing, class_problems, list_folder, listing_content
from spikebench.data._shared import shared

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from spikebench.data._pixels import Pixels

EVENTS = "events_np"
"""SpikingJelly's folder of event files, in the root."""


class Recordings:
    """A subclass names the archives, turns them into event files, and says which of these are in which split."""

    version: ClassVar[int] = 1
    classes: ClassVar[int]
    names: ClassVar[tuple[str, ...]]
    """Folders of ``root`` that may hold the data set, where ``root`` does not itself."""
    parts: ClassVar[tuple[str, ...]] = ("",)
    """Folders of ``events_np`` that each hold all classes."""
    archives: ClassVar[tuple[Archive, ...]] = ()
    extracted: ClassVar[str]
    """A folder of ``root/extract`` that is there when the archives are unpacked."""
    published: ClassVar[tuple[int, ...]]
    """How many files each part has as published: then nothing need be said of the content."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @property
    def inputs(self) -> InputSpec:
        return InputSpec(channels=2, size=self.options.size, classes=self.classes, events=True, T=self.options.T)

    def settle(self, folder: Path) -> dict[str, Any]:
        """``root`` as an absolute path, and ``content`` by the files' names. Raises InputError.

        Recordings that are still in archives are taken for the published ones, and held against that when they are unpacked.
        """
        root = self._root(folder)
        if not (root / EVENTS).is_dir():
            self._source(root)
            return {"root": str(root)}
        content = self._content(root)
        same_content(content, self.options.content, root)
        return {"root": str(root), **({"content": content} if content else {})}

    def split(self, name: SplitName) -> Pixels:
        """x (T, 2, size, size) float32, counts of events; y int64. Read from the disk batch by batch. Raises InputError."""
        import torch

        from spikebench.data._pixels import Pixels

        check_split(name)
        root = self._root()
        self._convert(root)
        same_content(self._content(root), self.options.content, root)
        kind: Any = type(self)  # typeshed takes no class for hashable
        frames, labels, counts, unreadable = _integrated(kind, self.options, root)
        start, end = _span(counts, name, self.options.full_train)
        x = torch.from_numpy(frames[start:end])
        return Pixels(x, torch.from_numpy(labels[start:end]), scale=1.0, unreadable=unreadable[name])

    def shared(self, name: SplitName) -> list[str] | None:
        """Recordings of this split that are in the others too, under other names. None of the training split itself."""
        if name == "train":
            return None
        listings = self.listings(self._root())
        chosen = self.cut(listings)
        files = {of: [(listings[part], listings[part].files[index]) for part, index in found] for of, found in chosen.items()}
        return shared(files.pop(name), [file for others in files.values() for file in others])

    def cut(self, listings: Sequence[Listing]) -> dict[SplitName, list[tuple[int, int]]]:
        """Which files are in which split: numbers of a part and of a file in it. Depends on their names alone."""
        raise NotImplementedError

    @classmethod
    def convert(cls, extracted: Path, events: Path) -> None:
        """Event files of all recordings in ``root/extract``, as SpikingJelly writes them; ``events`` is there and empty."""
        raise NotImplementedError

    def _root(self, folder: Path = Path()) -> Path:
        root = root_of(self.options.root, folder)
        return next((root / name for name in self.names if (root / name).is_dir()), root)

    def listings(self, root: Path) -> list[Listing]:
        """One a part."""
        return [list_folder(root / EVENTS / part, (".npz",)) for part in self.parts]

    def _content(self, root: Path) -> str:
        listings = self.listings(root)
        named = {part or "train": listing for part, listing in zip(self.parts, listings, strict=True)}
        problems = list(class_problems(named))
        if not problems and len(listings[0].classes) != self.classes:
            problems.append(
                Problem(f"{listings[0].folder} has {len(listings[0].classes)} classes, not {self.classes}", key="root")
            )
        if problems:
            raise InputError(problems)
        return "" if tuple(map(len, listings)) == self.published else listing_content(named, sized=False)

    def _source(self, root: Path) -> str:
        """What there is to make event files of: ``extract``, ``archives`` or ``download``. Raises InputError if nothing is."""
        if (root / "extract" / self.extracted).is_dir():
            return "extract"
        missing = [archive for archive in self.archives if self._archive(root, archive) is None]
        if not missing:
            for archive in self.archives:
                if (path := self._archive(root, archive)) is not None:
                    require_whole(archive, path)
            return "archives"
        if getattr(self.options, "download", False):
            return "download"
        there = sorted(path.name for path in root.iterdir())
        wanted = f"{root} has neither {EVENTS}/CLASS/*.npz nor extract/{self.extracted} nor {missing[0].name}"
        hint = nearest(EVENTS, there) if there else "; the folder is empty"
        raise InputError(Problem(f"{wanted}{hint}; {self._how()}", key="root"))

    def _how(self) -> str:
        raise NotImplementedError

    @staticmethod
    def _archive(root: Path, archive: Archive) -> Path | None:
        return next((place for place in (root / archive.name, root / "download" / archive.name) if place.is_file()), None)

    def _convert(self, root: Path) -> None:
        """Unpack and convert what is not yet; of several processes one does it. What a kill leaves half done is done again."""
        if (root / EVENTS).is_dir():
            return
        with alone(root / f".{EVENTS}.lock"):
            if (root / EVENTS).is_dir():
                return
            if self._source(root) == "download":
                (root / "download").mkdir(exist_ok=True)
                for archive in self.archives:
                    if self._archive(root, archive) is None:
                        fetch(archive, root / "download")
            self._unpack(root)
            partial = root / f"{EVENTS}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                self.convert(root / "extract", partial)
            except Exception as error:  # a damaged recording raises whatever it likes
                what = f"{root / 'extract'}: a recording cannot be read ({type(error).__name__}: {error})"
                raise InputError(Problem(what, key="root")) from error
            partial.rename(root / EVENTS)
            list_folder.cache_clear()
        found = self._content(root)
        if found != self.options.content:
            # The suite was read when nobody could know what is in the archives: the next one will.
            what = f"what was unpacked in {root} is not the published data set: it holds {found}; run again, by that name"
            raise InputError(Problem(what, key="content"))

    def _unpack(self, root: Path) -> None:
        from torchvision.datasets.utils import extract_archive

        target, partial = root / "extract", root / "extract.partial"
        if (target / self.extracted).is_dir():
            return
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        for archive in self.archives:
            path = self._archive(root, archive)
            try:
                extract_archive(path, partial)
            except Exception as error:  # of zip and tar alike
                assert path is not None
                raise InputError(damaged(path, error)) from error
        partial.rename(target)


@lru_cache(maxsize=2)
def _integrated(
    kind: Any, options: Any, root: Path
) -> tuple[NDArray[np.uint8], NDArray[np.int64], dict[SplitName, int], dict[SplitName, dict[str, str]]]:
    """Frames in the order train, validation, test, their labels, how many of each split there are, and what was left out."""
    made = kind(options)
    listings = made.listings(root)
    chosen = made.cut(listings)
    files = [(split, listings[part], index) for split in SPLITS for part, index in chosen[split]]
    paths = [listing.folder / listing.files[index] for _, listing, index in files]
    content = listing_content({str(number): listing for number, listing in enumerate(listings)}, sized=True)
    name = f"T{options.T}-{options.by}-{options.size}-{options.unsorted}-{content}.npy"
    folder = Path(options.cache).expanduser() if options.cache else root / "frames"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(Problem(f"{folder}: frames cannot be kept there ({error.strerror})", key="cache")) from error

    def integrate(path: Path) -> NDArray[np.uint8]:
        return frames_of(read_events(path, options.unsorted), options.T, options.by, options.size)

    shape = (options.T, 2, options.size, options.size)
    frames = cached(folder / name, paths, shape, integrate, options.skip)
    labels = np.array([files[index][1].labels[files[index][2]] for index in frames.kept], dtype=np.int64)
    splits = [files[index][0] for index in frames.kept]
    of = dict(zip(map(str, paths), (split for split, _, _ in files), strict=True))
    unreadable = {split: {file: why for file, why in frames.unreadable.items() if of.get(file) == split} for split in SPLITS}
    return frames.x, labels, {split: splits.count(split) for split in SPLITS}, unreadable


def _span(counts: dict[SplitName, int], name: SplitName, full_train: bool) -> tuple[int, int]:
    """From where to where a split lies; ``full_train``: the training split has validation's samples too."""
    train, seen = counts["train"], counts["train"] + counts["validation"]
    spans = {"train": (0, seen if full_train else train), "validation": (train, seen), "test": (seen, seen + counts["test"])}
    return spans[name]


def problems_of(options: Any) -> str:
    """What is wrong with the options that all of these have, a line each; "" if nothing is."""
    return outside(
        options,
        (
            ("T", "between 1 and 1000", 1 <= options.T <= 1000),
            ("size", f"a divisor of {SENSOR}", options.size >= 1 and SENSOR % options.size == 0),
            ("skip", "between 0 and 1", 0 <= options.skip <= 1),
        ),
    )
