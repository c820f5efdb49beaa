"""Every report section keeps the contract, and each has a place of its own."""

import pytest

from spikebench.core.registry import REGISTRIES
from spikebench.testing import SectionContract

NAMES = REGISTRIES["sections"].names()


@pytest.mark.parametrize("member", NAMES)
class TestSections(SectionContract):
    @pytest.fixture(autouse=True)
    def _chosen(self, member: str) -> None:
        self.name = member


def test_no_two_sections_stand_in_the_same_place() -> None:
    orders = [REGISTRIES["sections"].get(name).order for name in NAMES]
    assert len(set(orders)) == len(orders)
