"""The digits that come with scikit-learn, read from its folder: importing it would take a second and a half, and pandas."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FILE = "datasets/data/digits.csv.gz"


def images_and_labels() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Images (1797, 8, 8) of 0..16 and labels (1797,), as ``sklearn.datasets.load_digits`` gives them, which is asked where the
    file lies elsewhere. Raises ImportError without scikit-learn.
    """
    spec = importlib.util.find_spec("sklearn")
    found = [Path(folder) / FILE for folder in (spec and spec.submodule_search_locations) or ()]
    path = next((path for path in found if path.is_file()), None)
    if path is None:
        return _of_library()
    table = np.loadtxt(path, delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)


def _of_library() -> tuple[Any, Any]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return found.images, found.target.astype(np.int64)
