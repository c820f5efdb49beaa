"""The digits seen by a simulated event camera: 16x16 pixels, ON and OFF, no download (after N-MNIST, Orchard et al. 2015).

Each of the 1,797 images of ``digits``, one and a half times as large, moves along three straight saccades, back to its start.
A pixel emits an event whenever the logarithm of its brightness has moved by a threshold since its last one; the events of equal
spans of time are counted in T frames. Whole numbers throughout, so all machines see the same. Splits as of ``digits``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from spikebench.core.variant import InputSpec
from spikebench.data import SplitName
from spikebench.data._splits import tensor_split

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch.utils.data import TensorDataset

SIZE, FINE = 16, 8
"""Pixels a side, and positions between two of them."""
CORNERS = ((-16, -16), (0, 16), (16, -16), (-16, -16))
"""(row, column) between which the image moves, in 1/FINE pixels, in STEPS steps each."""
STEPS = 16
DARK, ONE = 0.1, 2**16
"""Brightness of black, where white is 1 more; what a logarithm of 1 is in whole numbers."""


class Dataset:
    """Learned to 95 % in a minute, so the event path can be tried on a laptop."""

    version: ClassVar[int] = 1
    sizes: ClassVar[Mapping[SplitName, int]] = {"train": 1258, "validation": 180, "test": 359}

    @dataclass(frozen=True)
    class Options:
        """``T``: frames; a variant must have as many time steps. ``threshold``: of the change of log brightness."""

        T: int = 8
        threshold: float = 0.3

        def __post_init__(self) -> None:
            if not 1 <= self.T <= STEPS * (len(CORNERS) - 1):
                raise ValueError(f"T must be between 1 and {STEPS * (len(CORNERS) - 1)}, got {self.T}")
            if not 0.01 <= self.threshold <= 2:
                raise ValueError(f"threshold must be between 0.01 and 2, got {self.threshold}")

    def __init__(self, options: Options) -> None:
        self.options = options

    @property
    def inputs(self) -> InputSpec:
        return InputSpec(channels=2, size=SIZE, classes=10, events=True, T=self.options.T)

    def split(self, name: SplitName) -> TensorDataset:
        """x (T, 2, 16, 16) float32, the number of ON and of OFF events; y int64."""
        return tensor_split(name, *_frames(self.options.T, self.options.threshold))


@lru_cache(maxsize=4)
def _frames(T: int, threshold: float) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    from spikebench.data._digits import images_and_labels

    images, labels = images_and_labels()
    return simulate(images.astype(np.int64), T, threshold), labels


def path() -> list[tuple[int, int]]:
    """Where the image stands at each moment, in 1/FINE pixels from the centre."""
    return [
        CORNERS[0],
        *(
            (row + (next_row - row) * step // STEPS, column + (next_column - column) * step // STEPS)
            for (row, column), (next_row, next_column) in pairwise(CORNERS)
            for step in range(1, STEPS + 1)
        ),
    ]


def simulate(images: NDArray[np.int64], T: int, threshold: float) -> NDArray[np.uint8]:
    """Frames (n, T, 2, 16, 16) of images (n, 8, 8) of 0..16: how often each pixel's log brightness rose and fell."""
    table = np.array([round(ONE * math.log(DARK + value / (16 * 144))) for value in range(16 * 144 + 1)], dtype=np.int64)
    step = round(ONE * threshold)
    moments = path()
    frames = np.zeros((len(images), T, 2, SIZE, SIZE), dtype=np.uint8)
    reference = table[_seen(images, *moments[0])]
    for moment, place in enumerate(moments[1:]):
        change = table[_seen(images, *place)] - reference
        crossed = np.abs(change) // step
        reference += np.sign(change) * crossed * step
        frame = frames[:, moment * T // (len(moments) - 1)]
        for polarity, sign in enumerate((1, -1)):
            frame[:, polarity] += np.where(np.sign(change) == sign, crossed, 0).astype(np.uint8)
    return frames


def _seen(images: NDArray[np.int64], row: int, column: int) -> NDArray[np.int64]:
    """Brightness (n, 16, 16) in 0..16*144 of each pixel: between four pixels of the image, which is 12 pixels wide here."""
    rows, columns = (_weights(shift).astype(np.float64) for shift in (row, column))
    # Products of floats are much faster than those of integers, and exact this far below 2^53.
    seen = rows @ np.pad(images, ((0, 0), (1, 1), (1, 1))).astype(np.float64) @ columns.T
    return seen.astype(np.int64)


def _weights(shift: int) -> NDArray[np.int64]:
    """How much, of 12, each pixel of the image (8 and a dark border) lends to each of the 16 pixels along one side."""
    found = np.zeros((SIZE, 10), dtype=np.int64)
    for pixel in range(SIZE):
        # In twelfths of an image's pixel: 1.5 of the camera's are one of the image's, and both have their centres in the middle.
        at = FINE * pixel - 18 - shift
        first, part = divmod(at, 12)
        for index, weight in ((first, 12 - part), (first + 1, part)):
            if -1 <= index <= 8:
                found[pixel, index + 1] += weight
    return found
