"""Every registered launcher keeps the contract."""

import pytest

from spikebench.core.registry import REGISTRIES
from spikebench.testing import LauncherContract


@pytest.mark.parametrize("member", REGISTRIES["launchers"].names())
class TestLaunchers(LauncherContract):
    @pytest.fixture(autouse=True)
    def _chosen(self, member: str) -> None:
        self.name = member
