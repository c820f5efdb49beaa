"""1.28 million photographs in 1,000 classes, as ILSVRC 2012 is unpacked (Russakovsky et al., arXiv 1409.0575).

``root`` holds ``train/CLASS/*.JPEG`` and ``val/CLASS/*.JPEG``. The published validation images are the test split, as in papers;
validation is 1 % of each class of ``train``. Files are read when they are due, by ``workers`` processes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, Self

from spikebench.data._folders import Folders, problems_of


class Dataset(Folders):
    """It cannot be downloaded without an account, so there is no ``download``."""

    @dataclass(frozen=True)
    class Options:
        """``root``: holds ``train`` and ``val``, or ``imagenet`` with both; empty: the folder in ``SPIKEBENCH_DATA``.

        ``crop``: the part of the shorter side that is seen, in the middle: 224 of 256 pixels. The rest as of ``folder``.
        """

        root: str = ""
        size: int = 224
        crop: float = 0.875
        normalise: Literal["imagenet", "none"] = "imagenet"
        full_train: bool = False
        skip: float = 0.001
        content: str = ""

        def __post_init__(self) -> None:
            if wrong := problems_of(self):
                raise ValueError(wrong)

        def identity(self) -> Self:
            """The same data, wherever they lie."""
            return replace(self, root="", skip=0.001)

        @property
        def channels(self) -> int:
            return 3

    names = ("imagenet", "ILSVRC2012")
    share = 0.01
    sized = False
    published: ClassVar[tuple[int, ...]] = (1000, 1281167, 50000)
