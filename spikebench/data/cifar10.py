"""60,000 photographs of 32x32 pixels in 10 classes, from the published pickles (Krizhevsky, technical report 2009).

``root`` holds ``cifar-10-batches-py`` or ``cifar-10-python.tar.gz``. Splits: 45,000 / 5,000 / 10,000; validation is cut from the
published training images, 500 a class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

from spikebench.data._cifar import Cifar, Normal, Published
from spikebench.data._download import Archive

NORMAL: Normal = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))


class Dataset(Cifar):
    """Kept as bytes: 154 MB for the training images."""

    @dataclass(frozen=True)
    class Options:
        """``root``: where the files are; empty: the folder in ``SPIKEBENCH_DATA``. ``download``: fetch them where they are not.

        ``normalise``: ``own`` subtracts the training images' mean by channel and divides by their deviation, ``none`` leaves
        0..1. ``full_train``: train on all 50,000 images, as the papers do; validation is then a part of them. ``content``: what
        the files hold, filled in for any but the published ones.
        """

        root: str = ""
        download: bool = False
        normalise: Literal["own", "none"] = "own"
        full_train: bool = False
        content: str = ""

        def identity(self) -> Self:
            """The same data, wherever they lie."""
            return replace(self, root="", download=False)

    published = Published(
        classes=10,
        folder="cifar-10-batches-py",
        archive=Archive(
            "cifar-10-python.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "c58f30108f718f92721af3b95e74349a",
        ),
        train=(
            ("data_batch_1", "c99cafc152244af753f735de768cd75f"),
            ("data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
            ("data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
            ("data_batch_4", "634d18415352ddfa80567beed471001a"),
            ("data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
        ),
        test=(("test_batch", "40351d587109b95175f43aff81a1287e"),),
        label="labels",
    )
    normals: ClassVar[Mapping[str, Normal | None]] = {"own": NORMAL, "none": None}
