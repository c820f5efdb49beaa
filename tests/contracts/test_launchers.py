"""Every registered launcher keeps the contract."""

import pytest

from spikebench.core.registry import REGISTRIES
from spikebench.testing import LauncherContract


@pytest.mark.parametrize("member", REGISTRIES["launchers"].names())
class TestLaunchers(LauncherContract):
    @pytest.fixture(autouse=True)
    def _chosen(self, member: str, request: pytest.FixtureRequest) -> None:
        self.name = member
        if member == "ray":
            request.getfixturevalue("ray_cluster")
            self.options = {"workers": 1}
        if member == "slurm":
            self.options = {"cluster": "local"}
