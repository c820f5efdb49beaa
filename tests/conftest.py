"""For all tests: hypothesis neither times an example nor how long it takes to draw one, which a busy machine decides; a
Ray cluster that tests share."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from tests.ray_cluster import TwoNodes, two_nodes

settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def shared_ray() -> Iterator[TwoNodes]:
    """Two nodes, each with one core. A test that loses one mends it."""
    with two_nodes() as cluster:
        yield cluster


@pytest.fixture
def ray_cluster(shared_ray: TwoNodes, monkeypatch: pytest.MonkeyPatch) -> TwoNodes:
    """Whole, and where launchers find it."""
    shared_ray.mend()
    monkeypatch.setenv("RAY_ADDRESS", shared_ray.address)
    return shared_ray
