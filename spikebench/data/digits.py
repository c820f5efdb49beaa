"""1,797 handwritten digits of 8x8 pixels, bundled with scikit-learn (Alpaydin and Kaynak, UCI 1998).

Grey values 0..16 are divided by 16. Splits: 1,258 / 180 / 359 images, stratified by class.
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
    """Learned to 98 % in seconds, so a whole suite can be tried on a laptop."""

    inputs = InputSpec(channels=1, size=8, classes=10)
    sizes: ClassVar[Mapping[SplitName, int]] = {"train": 1258, "validation": 180, "test": 359}

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        from spikebench.data._digits import images_and_labels

        images, labels = images_and_labels()
        return images[:, None] / 16.0, labels
