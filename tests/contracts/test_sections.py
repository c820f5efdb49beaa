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
    places: dict[int, list[str]] = {}
    for name in NAMES:
        places.setdefault(REGISTRIES["sections"].get(name).order, []).append(name)
    shared = {order: names for order, names in places.items() if len(names) > 1}
    assert not shared, f"give one of them another order; taken are {sorted(places)}"
