"""1.28 million photographs in 1,000 classes of ILSVRC 2012, in its archives or unpacked (Russakovsky et al., arXiv 1409.0575).

``root`` holds ``ILSVRC2012_img_train.tar``, ``ILSVRC2012_img_val.tar`` and ``ILSVRC2012_devkit_t12.tar.gz``, which are read as
they are, or ``train/CLASS/*.JPEG`` and ``val/CLASS/*.JPEG``. The published validation images are the test split, as in papers;
validation is 1 % of each class of ``train``. Files are read when they are due, by ``workers`` processes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Self

from spikebench.core.errors import InputError, Problem
from spikebench.data._files import root_of
from spikebench.data._folders import Folders, problems_of
from spikebench.data._imagenet import DEVKIT, TRAIN, VAL, classes_in, train_listing, val_listing
from spikebench.data._listing import Listing


class Dataset(Folders):
    """It cannot be downloaded without an account, so there is no ``download``."""

    @dataclass(frozen=True)
    class Options:
        """``root``: holds the archives, ``train`` and ``val``, or ``imagenet`` with either; empty: the folder in
        ``SPIKEBENCH_DATA``.

        ``crop``: the part of the shorter side that is seen, in the middle: 224 of 256 pixels. The rest as of ``folder``.
        """

        root: str = ""
        size: int = 224
        crop: float = 0.875
        normalise: Literal["imagenet", "none"] = "imagenet"
        full_train: bool = False
        skip: float = 0.001
        content: str = ""

        def __post_init__(self) -> None:
            if wrong := problems_of(self):
                raise ValueError(wrong)

        def identity(self) -> Self:
            """The same data, wherever they lie."""
            return replace(self, root="", skip=0.001)

        @property
        def channels(self) -> int:
            return 3

    names = ("imagenet", "ILSVRC2012")
    share = 0.01
    sized = False
    published: ClassVar[tuple[int, ...]] = (1000, 1281167, 50000)

    def _root(self, folder: Path = Path()) -> Path:
        root = root_of(self.options.root, folder)
        places = (root, *(root / name for name in self.names))
        return next((place for place in places if (place / TRAIN).is_file() and not (place / "train").is_dir()), None) or (
            super()._root(folder)
        )

    def _classes(self, root: Path) -> tuple[str, ...]:
        return super()._classes(root) if (root / "train").is_dir() else classes_in(root)

    def _listings(self, root: Path) -> dict[str, Listing]:
        if (root / "train").is_dir():
            return super()._listings(root)
        missing = [name for name in (VAL, DEVKIT) if not (root / name).is_file()]
        if missing:
            raise InputError(Problem(f"{root} has {TRAIN}, but no {' and no '.join(missing)}", key="root"))
        return {"train": train_listing(root), "val": val_listing(root)}
