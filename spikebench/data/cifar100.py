"""60,000 photographs of 32x32 pixels in 100 classes, from the published pickles (Krizhevsky, technical report 2009).

``root`` holds ``cifar-100-python`` or ``cifar-100-python.tar.gz``. Splits: 45,000 / 5,000 / 10,000; validation is cut from the
published training images, 50 a class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

from spikebench.data import cifar10
from spikebench.data._cifar import Cifar, Normal, Published
from spikebench.data._download import Archive


class Dataset(Cifar):
    """The fine labels."""

    @dataclass(frozen=True)
    class Options:
        """As of ``cifar10``. ``normalise: cifar10``: with the other set's figures, as Spikingformer's and QKFormer's code does
        (references.md 6b).
        """

        root: str = ""
        download: bool = False
        normalise: Literal["own", "cifar10", "none"] = "own"
        full_train: bool = False
        content: str = ""

        def identity(self) -> Self:
            """The same data, wherever they lie."""
            return replace(self, root="", download=False)

    published = Published(
        classes=100,
        folder="cifar-100-python",
        archive=Archive(
            "cifar-100-python.tar.gz",
            "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",
            "eb9058c3a382ffc7106e4002c42a8d85",
        ),
        train=(("train", "16019d7e3df5f24257cddd939b257f8d"),),
        test=(("test", "f0ef6b0ae62326f3e7ffdfab6717acfc"),),
        label="fine_labels",
    )
    normals: ClassVar[Mapping[str, Normal | None]] = {
        "own": ((0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)),
        "cifar10": cifar10.NORMAL,
        "none": None,
    }
