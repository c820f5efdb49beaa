"""10,000 recordings of CIFAR-10 images that moved before an event camera, 128x128 (Li et al., Frontiers in Neuroscience 2017).

``root`` holds SpikingJelly's ``events_np/CLASS/*.npz``, or ``extract/CLASS/*.aedat``, or the ten published zip files. There is no
official split. Ours is that of Spikformer's code (references.md 1.9): of each class, by name, the first 90 % are for training and
the last 10 % are the test split; every tenth of the training recordings is validation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

from spikebench.data import SplitName
from spikebench.data._download import Archive
from spikebench.data._events import By, Unsorted
from spikebench.data._listing import Listing
from spikebench.data._recordings import Recordings, problems_of

CLASSES = {
    "airplane": (7712788, "0afd5c4bf9ae06af762a77b180354fdd"),
    "automobile": (7712791, "8438dfeba3bc970c94962d995b1b9bdd"),
    "bird": (7712794, "a9c207c91c55b9dc2002dc21c684d785"),
    "cat": (7712812, "52c63c677c2b15fa5146a8daf4d56687"),
    "deer": (7712815, "b6bf21f6c04d21ba4e23fc3e36c8a4a3"),
    "dog": (7712818, "f379ebdf6703d16e0a690782e62639c3"),
    "frog": (7712842, "cad6ed91214b1c7388a5f6ee56d08803"),
    "horse": (7712851, "e7cbbf77bec584ffbf913f00e682782a"),
    "ship": (7712836, "41c7bd7d6b251be82557c6cce9a7d5c9"),
    "truck": (7712839, "89f3922fd147d9aeff89e76a2b0b70a7"),
}
"""Class -> number at figshare and MD5 of its zip file, as SpikingJelly has them."""


class Dataset(Recordings):
    """Frames are made once, kept in ``root/frames`` and read from there: 5.2 GB at T = 16 and full size."""

    @dataclass(frozen=True)
    class Options:
        """``root``: where the files are; empty: the folder in ``SPIKEBENCH_DATA``. ``download``: fetch them where they are not.

        ``T``: frames of one recording, and time steps of the network. ``by``: ``number`` of events or length of ``time``.
        ``size``: 128 or a divisor, where neighbouring pixels are added up. ``unsorted``: whether a recording whose timestamps go
        back is left out or sorted. ``skip``: the share of recordings that may be left out; above it the job fails.
        ``full_train``: train on validation's recordings too, as the papers do. ``cache``: where frames are kept; empty:
        ``root/frames``.
        """

        root: str = ""
        download: bool = False
        T: int = 16
        size: int = 128
        by: By = "number"
        unsorted: Unsorted = "skip"
        full_train: bool = False
        skip: float = 0.01
        cache: str = ""
        content: str = ""

        def __post_init__(self) -> None:
            if wrong := problems_of(self):
                raise ValueError(wrong)

        def identity(self) -> Self:
            """The same data, wherever they lie."""
            return replace(self, root="", download=False, skip=0.01, cache="")

    classes = 10
    names = ("cifar10-dvs", "CIFAR10DVS")
    archives = tuple(
        Archive(f"{name}.zip", f"https://ndownloader.figshare.com/files/{number}", md5) for name, (number, md5) in CLASSES.items()
    )
    extracted = "truck"
    published: ClassVar[tuple[int, ...]] = (10_000,)

    def cut(self, listings: Sequence[Listing]) -> dict[SplitName, list[tuple[int, int]]]:
        labels = listings[0].labels
        chosen: dict[SplitName, list[tuple[int, int]]] = {"train": [], "validation": [], "test": []}
        for label in range(self.classes):
            members = [index for index, own in enumerate(labels) if own == label]
            training = -(-len(members) * 9 // 10)
            for rank, index in enumerate(members):
                tenth = rank % 10 == 9 or (training < 10 and rank == training - 1)
                kept: SplitName = "test" if rank >= training else "validation" if tenth else "train"
                chosen[kept].append((0, index))
        return chosen

    @classmethod
    def convert(cls, extracted: Path, events: Path) -> None:
        from spikingjelly.datasets import CIFAR10DVS

        CIFAR10DVS.create_raw_from_extracted(extracted, events)

    def _how(self) -> str:
        return "download: true fetches the archives (7 GB)"
