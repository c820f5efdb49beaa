"""Every registered data set keeps the contract; those that need files of the user's get small ones in their own format."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest

from spikebench.core.registry import REGISTRIES
from spikebench.testing import DatasetContract
from spikebench.testing.files import write_cifar, write_cifar10_dvs, write_dvs128_gesture, write_images

EVENTS = {"T": 3, "size": 32}
SMALL: Mapping[str, Mapping[str, Any]] = {
    "random": {"channels": 2, "size": 8, "classes": 3, "samples": 9},
    "cifar10-dvs": EVENTS,
    "dvs128-gesture": EVENTS,
}
FILES: Mapping[str, Callable[[Path], object]] = {
    "cifar10": write_cifar,
    "cifar100": lambda root: write_cifar(root, 100, count=200),
    "cifar10-dvs": write_cifar10_dvs,
    "dvs128-gesture": write_dvs128_gesture,
    "folder": lambda root: write_images(root, {"train": 4, "val": 2}),
    "imagenet": lambda root: write_images(root, {"train": 4, "val": 2}),
}
"""Data set -> what writes one into a root."""


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    found = {}
    for name, write in FILES.items():
        found[name] = tmp_path_factory.mktemp(name)
        write(found[name])
    return found


@pytest.mark.parametrize("member", REGISTRIES["datasets"].names())
class TestDatasets(DatasetContract):
    @pytest.fixture(autouse=True)
    def _chosen(self, member: str, roots: Mapping[str, Path]) -> None:
        where = {"root": str(roots[member])} if member in roots else {}
        self.name, self.options = member, {**SMALL.get(member, {}), **where}


class TestEventFrames(DatasetContract):
    name = "random"
    options: ClassVar = {"channels": 2, "size": 8, "classes": 3, "samples": 9, "events": True, "T": 3}
