"""1,464 gestures of 29 people in 11 classes, seen by an event camera, 128x128 (Amir et al., CVPR 2017).

``root`` holds SpikingJelly's ``events_np/train|test/CLASS/*.npz``, ``extract/DvsGesture``, or ``DvsGesture.tar.gz``. Splits are
by people, officially: the first 23 for training, the last 6 for the test. Validation is the last three of the 23, so that it too
is of people whom training has not seen.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Self

import numpy as np

from spikebench.data import SplitName
from spikebench.data._download import Archive
from spikebench.data._events import By, Unsorted
from spikebench.data._listing import Listing
from spikebench.data._recordings import Recordings, problems_of
from spikebench.data._splits import cut

PAGE = "https://ibm.ent.box.com/s/3hiq58ww1pbbjrinh367ykfdf60xsfm8/folder/50167556794"
SHARE = 3 / 23
"""People of the training split who are validation."""


class Dataset(Recordings):
    """Its licence asks for a download by hand, so there is no ``download``."""

    @dataclass(frozen=True)
    class Options:
        """As of ``cifar10-dvs``, without ``download``."""

        root: str = ""
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
            return replace(self, root="", skip=0.01, cache="")

    classes = 11
    names = ("dvs128-gesture", "DVS128Gesture")
    parts = ("train", "test")
    archives: ClassVar[tuple[Archive, ...]] = (Archive("DvsGesture.tar.gz", PAGE, "8a5c71fb11e24e5ca5b11866ca6c00a1"),)
    extracted = "DvsGesture"
    published: ClassVar[tuple[int, ...]] = (1176, 288)

    def cut(self, listings: Sequence[Listing]) -> dict[SplitName, list[tuple[int, int]]]:
        train, test = listings
        people = [re.search(r"user(\d+)", file) for file in train.files]
        if all(people):
            numbers = np.array([int(match[1]) for match in people if match])
            known = np.unique(numbers)
            last = known[-max(1, round(SHARE * len(known))) :]
            apart = np.isin(numbers, last) if len(known) > 1 else np.arange(len(numbers)) % 8 == 7
            validation = np.flatnonzero(apart).tolist()
        else:
            validation = cut(np.array(train.labels), "validation", share=SHARE).tolist()
        seen = set(validation)
        return {
            "train": [(0, index) for index in range(len(train)) if index not in seen],
            "validation": [(0, index) for index in validation],
            "test": [(1, index) for index in range(len(test))],
        }

    @classmethod
    def convert(cls, extracted: Path, events: Path) -> None:
        from spikingjelly.datasets import DVS128Gesture

        DVS128Gesture.create_raw_from_extracted(extracted, events)

    def _how(self) -> str:
        return f"download it by hand from {PAGE}"
