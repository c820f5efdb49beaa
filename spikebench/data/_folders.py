"""Data sets that are folders of classes of images: ``train``, ``val``, and ``test`` if there is one, or classes alone."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from spikebench.core.errors import InputError, Problem, nearest
from spikebench.core.variant import InputSpec
from spikebench.data import RESIDENT_BYTES, SplitName, check_split
from spikebench.data._bounds import outside
from spikebench.data._files import root_of, same_content
from spikebench.data._listing import Listing, class_problems, classes_of, list_folder, listing_content, why_no_classes
from spikebench.data._shared import shared
from spikebench.data._splits import cut, thirds

if TYPE_CHECKING:
    from spikebench.data import Split
    from spikebench.data._images import ImageFiles

FIGURES = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and deviation of ImageNet's training images, by channel."""
GREY = ((0.449,), (0.226,))
"""The means of these."""
RULE = "70/10/20"
"""Percent of each class for training, validation and test, where no folder says what is for which (``thirds``)."""
LEAST = 3
"""Images of a class that is divided: one for each split."""


class Folders:
    """A subclass says how large its validation is and whether its files are asked for their sizes.

    With ``test``, ``val`` is the validation split. Without it, ``val`` is the test split, as ImageNet's is in papers, and
    validation is cut from ``train``. Where ``undivided`` folders will do, the classes may lie in ``root`` itself: each is then
    divided by a rule, which ``settle`` stores as ``split``.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ()
    """Folders of ``root`` that may hold the data set, where ``root`` does not itself."""
    share: ClassVar[float] = 0.1
    sized: ClassVar[bool] = True
    undivided: ClassVar[bool] = False
    published: ClassVar[tuple[int, ...]] = ()
    """Classes, training and validation images of the one data set that needs no ``content``."""

    def __init__(self, options: Any) -> None:
        self.options = options

    @property
    def inputs(self) -> InputSpec:
        """As many classes as ``train`` has folders, or ``root`` where it is not divided."""
        classes = self._classes(self._root())
        return InputSpec(self.options.channels, self.options.size, max(1, len(classes)))

    def settle(self, folder: Path) -> dict[str, Any]:
        """``root`` as an absolute path, ``content``, by the files' names and sizes, and ``split``. Raises InputError."""
        root = self._root(folder)
        listings = self._listings(root)
        problems = list(class_problems(listings))
        divided = len(listings) > 1
        if not problems and "test" not in listings and not (divided and self.options.full_train):
            problems += _too_few(listings["train"], 2 if divided else LEAST)
        if divided and self._rule():
            problems.append(Problem(f"{root} has train: its folders say what is for which split; leave split out", key="split"))
        if problems:
            raise InputError(problems)
        content = self._content(listings)
        same_content(content, self.options.content, root)
        rule = {} if divided else {"split": RULE}
        return {"root": str(root), **({"content": content} if content else {}), **rule}

    def split(self, name: SplitName) -> Split:
        """x (channels, size, size) float32, normalised; y int64: the number of the class in the order of names.

        In memory where all fits (the README of this room says how much), else read file by file. Raises InputError.
        """
        check_split(name)
        kind: Any = type(self)  # typeshed takes no class for hashable
        return _loaded(kind, self.options, self._root(), name)

    def files(self, name: SplitName) -> ImageFiles:
        """The split read file by file, wherever it would fit: random parts are cut out of the original images
        (``ImageFiles.cropped``)."""
        check_split(name)
        kind: Any = type(self)
        return _files(kind, self.options, self._root(), name)

    def shared(self, name: SplitName) -> list[str] | None:
        """Files of this split that lie in ``train`` too, whatever they are called there: their contents are equal.

        None where nobody has looked: at the training split itself, and at a data set that is as published.
        """
        root = self._root()
        if name == "train" or (self.published and not self._content(self._listings(root))):
            return None
        kind: Any = type(self)
        return list(_shared_of(kind, self.options, root, name))

    def _rule(self) -> str:
        return str(getattr(self.options, "split", ""))

    def _root(self, folder: Path = Path()) -> Path:
        root = root_of(self.options.root, folder)
        found = next((place for place in (root, *(root / name for name in self.names)) if (place / "train").is_dir()), None)
        if found is None:
            there = sorted(path.name for path in root.iterdir() if path.is_dir())
            why = why_no_classes(root) if self.undivided else f"there is no train{nearest('train', there)}"
            if not why:
                return root
            either = f", or {root}/CLASS/* to be divided {RULE}" if self.undivided else ""
            wanted = f"expected {root / 'train'}/CLASS/* and {root / 'val'}/CLASS/*{either}"
            raise InputError(Problem(f"{wanted}: {why if there else 'there is no folder in it'}", key="root"))
        return found

    def _classes(self, root: Path) -> tuple[str, ...]:
        return classes_of(_training(root))

    def _listings(self, root: Path) -> dict[str, Listing]:
        """By split; ``train`` alone where classes lie in ``root`` itself."""
        if not (root / "train").is_dir():
            return {"train": list_folder(root)}
        if not (root / "val").is_dir() and not (root / "test").is_dir():
            there = sorted(path.name for path in root.iterdir() if path.is_dir())
            raise InputError(Problem(f"expected {root / 'val'}/CLASS/*: there is no val{nearest('val', there)}", key="root"))
        return {part: list_folder(root / part) for part in ("train", "val", "test") if (root / part).is_dir()}

    def _content(self, listings: dict[str, Listing]) -> str:
        counts = (len(listings["train"].classes), *(len(listing) for listing in listings.values()))
        return "" if self.published and counts == self.published else listing_content(listings, self.sized)

    def _chosen(self, root: Path, name: SplitName) -> tuple[Listing, Any]:
        """The listing that a split is from, and the indices of its files there."""
        listings = self._listings(root)
        if len(listings) == 1:
            listing = listings["train"]
            return listing, thirds(np.array(listing.labels), name, self.options.full_train)
        own = "val" if "val" in listings else "test"
        if name == "test":
            listing = listings.get("test", listings[own])
        elif len(listings) == 3 and name == "validation":
            listing = listings["val"]
        else:
            listing = listings["train"]
            if len(listings) == 2:
                return listing, cut(np.array(listing.labels), name, self.options.full_train, self.share)
        return listing, np.arange(len(listing))


def _training(root: Path) -> Path:
    """Where the classes lie that all splits have."""
    return root / "train" if (root / "train").is_dir() else root


def _too_few(train: Listing, least: int) -> Iterator[Problem]:
    """The first class that cannot be divided."""
    counts = np.bincount(train.labels, minlength=len(train.classes))
    for name, count in zip(train.classes, counts, strict=True):
        if count < least:
            what = "validation is cut from it" if least == 2 else "it is divided into three splits"
            has = "a single image" if count == 1 else f"{count} images"
            yield Problem(f"{train.folder}: {what}, and class {name} has {has}", key="root")
            return


@lru_cache(maxsize=6)
def _loaded(kind: Any, options: Any, root: Path, name: SplitName) -> Split:
    """Every job of a run asks for the same ones."""
    split = _files(kind, options, root, name)
    return split.load() if len(split) * options.channels * options.size**2 <= RESIDENT_BYTES else split


def _files(kind: Any, options: Any, root: Path, name: SplitName) -> ImageFiles:
    from spikebench.data._images import ImageFiles, Reading

    listing, chosen = kind(options)._chosen(root, name)
    files = np.array(listing.files)[chosen].tolist()
    places = None if listing.places is None else listing.places[chosen]
    labels = np.array(listing.labels)[chosen].tolist()
    normal = None if options.normalise == "none" else FIGURES if options.channels == 3 else GREY
    reading = Reading(options.size, options.channels, options.crop)
    return ImageFiles(listing.folder, files, labels, reading, normal, options.skip, places)


@lru_cache(maxsize=8)
def _shared_of(kind: Any, options: Any, root: Path, name: SplitName) -> tuple[str, ...]:
    """Every job of a run asks for the same ones."""
    made = kind(options)
    listing, chosen = made._chosen(root, name)
    train = made._listings(root)["train"]
    mine = {listing.files[index] for index in chosen}
    others = [file for file in train.files if listing != train or file not in mine]
    return tuple(shared(((listing, file) for file in mine), ((train, file) for file in others)))


def problems_of(options: Any) -> str:
    """What is wrong with the options that all of these have, a line each; "" if nothing is."""
    return outside(
        options,
        (
            ("size", "between 4 and 4096", 4 <= options.size <= 4096),
            ("crop", "above 0 and at most 1", 0 < options.crop <= 1),
            ("skip", "between 0 and 1", 0 <= options.skip <= 1),
        ),
    )
