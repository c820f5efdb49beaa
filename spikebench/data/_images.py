"""Image files: decoded, resized, cropped; one by one when they are due, or all at once where they fit into memory."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from spikebench.data._files import check_limit
from spikebench.data._listing import read_place
from spikebench.data._pixels import Pixels
from spikebench.data._streams import Unreadable

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

Normal = tuple[Sequence[float], Sequence[float]]


@dataclass(frozen=True)
class Crop:
    """A random part of each image: ``scale`` of its area, ``ratio`` of its sides (Szegedy et al., arXiv 1409.4842).

    ``seed``: one or more numbers, which with the sample's own decide what is drawn, whoever reads it when.
    """

    scale: tuple[float, float]
    ratio: tuple[float, float]
    seed: tuple[int, ...]


@dataclass(frozen=True)
class Reading:
    """How a file becomes (channels, size, size) bytes. ``crop``: the part of the shorter side that is seen, in the middle."""

    size: int
    channels: int = 3
    crop: float = 1.0
    random: Crop | None = None

    def read(self, path: Path, number: int = 0, content: bytes | None = None) -> NDArray[np.uint8]:
        """``number``: of the sample, which decides its random part. ``content``: of the file, where it lies in an archive. Raises
        Unreadable, saying why, for what is no image, ends early, or has no pixels.
        """
        from PIL import Image

        try:
            with warnings.catch_warnings(), Image.open(path if content is None else io.BytesIO(content)) as opened:
                warnings.simplefilter("ignore")  # of damaged metadata, which nothing here reads
                # JPEGs are decoded at a fraction of their size, never below twice what is needed.
                if self.random is None:
                    opened.draft("RGB" if self.channels == 3 else "L", (2 * self.size, 2 * self.size))
                image = _eight_bit(opened, "RGB" if self.channels == 3 else "L")
        except Exception as error:  # decoders of damaged files raise whatever they like
            raise Unreadable(str(path), f"{type(error).__name__}: {error}") from error
        box = self._box(image.width, image.height, number)
        if self.random is not None:  # a part is all that is seen; around the middle, a resized image's neighbours count
            image, box = image.crop(box), (0, 0, box[2] - box[0], box[3] - box[1])
        if (image.width, image.height) != (self.size, self.size) or box != (0, 0, image.width, image.height):
            image = image.resize((self.size, self.size), Image.Resampling.BICUBIC, box)
        pixels = np.array(image, dtype=np.uint8)
        return np.ascontiguousarray(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))

    def _box(self, width: int, height: int, number: int) -> tuple[float, float, float, float]:
        """The part of the image that is kept: square in the middle, or drawn for this image alone, whoever reads it when."""
        if self.random is not None:
            return _drawn(width, height, self.random, number)
        side = min(width, height) * self.crop
        left, top = (width - side) / 2, (height - side) / 2
        return left, top, left + side, top + side


def _eight_bit(image: Image, mode: str) -> Image:
    """Palettes by their colours; 16 bits by their upper 8, where Pillow would cut off at 255. Raises ValueError for floats."""
    from PIL import Image

    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers, whose range is not known")
    if image.mode.startswith("I"):
        deep = np.asarray(image)
        return Image.fromarray((deep.clip(0, 65535) >> 8).astype(np.uint8)).convert(mode)
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    return image.convert(mode)


def _drawn(width: int, height: int, crop: Crop, number: int) -> tuple[float, float, float, float]:
    """As torchvision's RandomResizedCrop, and timm's: ten tries, then the largest part in the middle with sides in ``ratio``.

    RandomState's stream is frozen (NEP 19).
    """
    random = np.random.RandomState([*(part % 2**32 for part in crop.seed), number])
    for _ in range(10):
        area = width * height * random.uniform(*crop.scale)
        ratio = np.exp(random.uniform(*np.log(crop.ratio)))
        w, h = round(float(np.sqrt(area * ratio))), round(float(np.sqrt(area / ratio)))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(random.randint(width - w + 1)), int(random.randint(height - h + 1))
            return left, top, left + w, top + h
    w, h = min(width, round(height * crop.ratio[1])), min(height, round(width / crop.ratio[0]))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


class ImageFiles(Dataset[Any]):
    """A split that is read when it is needed: sample i is file i, in ``float32`` as ``Pixels`` would have it.

    ``unreadable``: file -> why it was left out, filled as files are met. ``skip``: the share of the split that may be.
    ``places``: of the files, if ``folder`` is an archive (``_listing``).
    """

    def __init__(
        self,
        folder: Path,
        files: Sequence[str],
        labels: Sequence[int],
        reading: Reading,
        normal: Normal | None,
        skip: float,
        places: NDArray[np.int64] | None = None,
    ) -> None:
        self.folder, self.files, self.labels = folder, np.array(files), np.array(labels, dtype=np.int64)
        self.reading, self.normal, self.skip, self.places = reading, normal, skip, places
        self.unreadable: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, number: int) -> tuple[Tensor, Tensor]:
        """Sample ``number`` is file ``number % len``: a file that comes again in an epoch has another random part. Raises
        Unreadable."""
        index = number % len(self)
        x = torch.from_numpy(self._read(index, number))
        y = torch.tensor(self.labels[index])
        return Pixels(x[None], y[None], normal=self.normal)[0]  # type: ignore[return-value]

    def cropped(self, scale: tuple[float, float], ratio: tuple[float, float], seed: tuple[int, ...]) -> ImageFiles:
        """The same split with a random part of each original image; ``seed`` and the sample's number alone decide which."""
        reading = replace(self.reading, random=Crop(scale, ratio, seed))
        other = copy.copy(self)
        other.reading = reading
        return other

    def _read(self, index: int, number: int = 0) -> NDArray[np.uint8]:
        path = self.folder / str(self.files[index])
        if self.places is None:
            return self.reading.read(path, number)
        try:
            content = read_place(self.folder, *self.places[index].tolist())
        except OSError as error:
            raise Unreadable(str(path), str(error)) from error
        return self.reading.read(path, number, content)

    def leave_out(self, file: str, why: str) -> None:
        """Count a file that cannot be read. Raises InputError above the limit, with the first few."""
        self.unreadable[file] = why
        check_limit(self.unreadable, len(self), self.skip)

    def load(self) -> Pixels:
        """All of it in memory, without what cannot be read."""
        channels, size = self.reading.channels, self.reading.size
        x = torch.empty(len(self), channels, size, size, dtype=torch.uint8)
        good = torch.ones(len(self), dtype=torch.bool)

        def read(index: int) -> Unreadable | None:
            try:
                x[index] = torch.from_numpy(self._read(index))
            except Unreadable as error:
                return error
            return None

        with ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
            for index, error in enumerate(pool.map(read, range(len(self)))):
                if error is not None:
                    good[index] = False
                    self.leave_out(error.file, error.why)
        y = torch.from_numpy(self.labels)
        return Pixels(*((x, y) if good.all() else (x[good], y[good])), normal=self.normal, unreadable=self.unreadable)
