import gc
import weakref

import pytest

from spikebench.core.garbage import not_searched, set_aside


@not_searched()
def fail() -> None:
    raise KeyError(gc.isenabled())


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_is_left_as_it_was_whatever_happens_inside(enabled: bool) -> None:
    before = gc.isenabled()
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(KeyError, match="False"):
            fail()
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_what_is_set_aside_is_not_searched_and_what_is_made_meanwhile_is() -> None:
    class Node:
        pass

    def cycle() -> weakref.ref[Node]:
        one = Node()
        one.itself = one  # type: ignore[attr-defined]
        return weakref.ref(one)

    before = cycle()
    with set_aside():
        inside = cycle()
        gc.collect()
        assert before() is not None
        assert inside() is None
        with set_aside():
            assert gc.get_freeze_count()
        assert gc.get_freeze_count()
    assert gc.get_freeze_count() == 0
    gc.collect()
    assert before() is None
