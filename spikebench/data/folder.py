"""Any folder of images by class, resized and cropped: ``root/CLASS/*``, or ``root/train/CLASS/*`` and ``root/val/CLASS/*``.

Classes in ``root`` itself are divided: about 70 % of each for training, 10 % for validation, 20 % for test, the same files on
every machine. With ``train`` and ``val``, ``val`` is the test split and a tenth of each class of ``train`` is validation; with
``test`` too, ``val`` is the validation split. Up to 1 GiB of pixels a split is in memory; what is larger is read file by file.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self

from spikebench.data._folders import Folders, problems_of


class Dataset(Folders):
    """JPEG, PNG, WebP, BMP, TIFF and PNM; greyscale, palette, CMYK and 16-bit images become 8-bit RGB."""

    undivided = True

    @dataclass(frozen=True)
    class Options:
        """``root``: where the classes, or ``train`` and ``val``, are; empty: the folder in ``SPIKEBENCH_DATA``.

        ``size``: the image's shorter side becomes this long, and its middle is cut out; with ``crop`` below 1 that share of it.
        ``channels``: 3 or 1. ``normalise``: ``imagenet`` subtracts ImageNet's mean and divides by its deviation, ``none`` leaves
        0..1. ``skip``: the share of a split's files that may be unreadable and are left out; above it the job fails.
        ``full_train``: train on validation too, which is then a part of it. ``content``: what the files are, and ``split``: how
        classes in ``root`` itself are divided; both are filled in.
        """

        root: str = ""
        size: int = 32
        channels: Literal[1, 3] = 3
        crop: float = 1.0
        normalise: Literal["imagenet", "none"] = "imagenet"
        full_train: bool = False
        skip: float = 0.01
        content: str = ""
        split: Literal["", "70/10/20"] = ""

        def __post_init__(self) -> None:
            if wrong := problems_of(self):
                raise ValueError(wrong)

        def identity(self) -> Self:
            """The same data, wherever they lie."""
            return replace(self, root="", skip=0.01)
