"""What CIFAR-size training images cost until they are a changed batch: all at once from bytes, against torchvision one by one.

Both sides shift each image by up to four pixels, mirror it with probability 1/2 and normalise it by channel, on one thread in the
same run; the ratio is that of process times, which other work on the machine spoils least.

    pytest tests/benchmarks/test_loading.py --benchmark-json=loading.json
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from spikebench import data
from spikebench.data._pixels import Pixels
from spikebench.data.cifar10 import NORMAL

N, BATCH = 4096, 128
TARGET = 2.0


pytestmark = pytest.mark.usefixtures("one_thread")


def spent(run: Callable[[], object]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


class OneByOne(Dataset[Any]):
    """As torchvision's CIFAR10 with the usual transforms."""

    def __init__(self, images: np.ndarray) -> None:
        from torchvision import transforms

        self.images = images.transpose(0, 2, 3, 1)
        steps = [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
        self.transform = transforms.Compose([*steps, transforms.Normalize(*NORMAL)])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        from PIL import Image

        return self.transform(Image.fromarray(self.images[index])), 0


def test_batches_are_at_least_twice_as_fast_as_images_one_by_one(benchmark: Any) -> None:
    from spikebench.training.augmentation import augment
    from spikebench.training.draws import Draws

    images = np.random.default_rng(0).integers(0, 256, (N, 3, 32, 32), dtype=np.uint8)
    split = Pixels(torch.from_numpy(images), torch.zeros(N, dtype=torch.int64), normal=NORMAL)
    generator = torch.Generator().manual_seed(0)

    def ours() -> None:
        order = torch.randperm(N, generator=generator).split(BATCH)
        for x, _ in data.batches(split, BATCH, chosen=order):
            augment(x, "standard", Draws(generator, len(x)))

    theirs = DataLoader(OneByOne(images), BATCH, shuffle=True)

    def one_by_one() -> None:
        for _ in theirs:
            pass

    ours()
    one_by_one()
    pairs = [(spent(one_by_one), spent(ours)) for _ in range(3)]
    ratio = min(one for one, _ in pairs) / min(other for _, other in pairs)
    benchmark.pedantic(ours, rounds=1)
    benchmark.extra_info.update(ratio=round(ratio, 2), images_per_second=round(N / min(other for _, other in pairs)), threads=1)
    print(f"\n{N / pairs[0][1]:,.0f} images/s in batches, {N / pairs[0][0]:,.0f} one by one: {ratio:.1f} times")
    assert ratio >= TARGET
