import gc

import pytest

from spikebench.core.garbage import not_searched


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was_whatever_happens_inside(enabled: bool) -> None:
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(KeyError), not_searched():
            assert not gc.isenabled()
            raise KeyError
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()
