"""Small data sets in the formats in which the published ones lie on disks, for tests of what reads them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np


def write_cifar(root: Path, classes: int = 10, count: int = 40) -> Path:
    """``cifar-10-batches-py`` or ``cifar-100-python``: random images, ``count`` a file, with a colour for each class.

    Pickled as published: Python 2's protocol, bytes channel by channel, lists of labels. Returns the folder.
    """
    random = np.random.default_rng(classes)
    if classes == 10:
        folder, names, label = root / "cifar-10-batches-py", [*(f"data_batch_{n}" for n in range(1, 6)), "test_batch"], "labels"
    else:
        folder, names, label = root / "cifar-100-python", ["train", "test"], "fine_labels"
    folder.mkdir(parents=True)
    for name in names:
        labels = [index % classes for index in range(count)]
        data = random.integers(0, 256, (count, 3072), dtype=np.uint8)
        data.reshape(count, 3, 1024)[np.arange(count), np.array(labels) % 3] //= 4
        (folder / name).write_bytes(pickle.dumps({"data": data, label: labels}, protocol=2))
    return folder
