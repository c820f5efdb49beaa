"""Every registered data set keeps the contract; those that need files of the user's are tested beside their loaders."""

from collections.abc import Mapping
from typing import Any, ClassVar

import pytest

from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.testing import DatasetContract

SMALL: Mapping[str, Mapping[str, Any]] = {"random": {"channels": 2, "size": 8, "classes": 3, "samples": 9}}


@pytest.mark.parametrize("member", REGISTRIES["datasets"].names())
class TestDatasets(DatasetContract):
    @pytest.fixture(autouse=True)
    def _chosen(self, member: str) -> None:
        self.name, self.options = member, SMALL.get(member, {})
        try:
            REGISTRIES["datasets"].get(member)(self.choice.resolve("datasets")).split("train")
        except InputError as error:
            pytest.skip(f"needs files: {error}")


class TestEventFrames(DatasetContract):
    name = "random"
    options: ClassVar = {"channels": 2, "size": 8, "classes": 3, "samples": 9, "events": True, "T": 3}
