"""A data set that comes whole, in a package: arrays in, three stratified splits out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from spikebench.core.variant import InputSpec
from spikebench.data import SplitName

if TYPE_CHECKING:
    import numpy as np
    from torch.utils.data import TensorDataset


class WholeDataset:
    """A subclass says ``inputs`` and gives ``arrays``; nothing of it is chosen by the user."""

    version: ClassVar[int] = 1
    inputs: InputSpec

    @dataclass(frozen=True)
    class Options:
        """None: the data are as they are."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """All images (n, C, H, W) in 0..1 and their labels (n,), always in the same order."""
        raise NotImplementedError

    def split(self, name: SplitName) -> TensorDataset:
        """x (C, H, W) float32 in 0..1, y int64."""
        from spikebench.data._splits import tensor_split

        # Every job of a run asks for the same ones.
        if type(self) not in _ARRAYS:
            _ARRAYS[type(self)] = self.arrays()
        return tensor_split(name, *_ARRAYS[type(self)])


_ARRAYS: dict[type, tuple[np.ndarray, np.ndarray]] = {}
