import gc
import weakref

import pytest

from spikebench.core.garbage import SETTLED, not_searched, set_aside, with_rest_set_aside


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


def test_what_has_come_to_stay_since_is_set_aside_too_and_garbage_is_not() -> None:
    class Node:
        pass

    with set_aside() as again:
        kept, garbage = Node(), Node()
        garbage.itself = garbage  # type: ignore[attr-defined]
        gone = weakref.ref(garbage)
        del garbage
        before = gc.get_freeze_count()
        assert any(found is kept for found in gc.get_objects())
        again()
        assert gone() is None
        assert gc.get_freeze_count() > before
        assert not any(found is kept for found in gc.get_objects()), "the collector lists what it searches"
        with set_aside() as inner:
            later = Node()
            inner()
            assert any(found is later for found in gc.get_objects()), "who set nothing aside sets no more aside"
    assert gc.get_freeze_count() == 0


def test_what_is_there_is_set_aside_while_items_are_worked_on_however_that_ends() -> None:
    frozen = []
    for index in with_rest_set_aside(range(SETTLED + 2)):
        if index == 1:
            imported = [[] for _ in range(1000)]  # type: list[list[int]]
        frozen.append(gc.get_freeze_count())
    assert frozen[0] > 0
    assert frozen[SETTLED] >= frozen[0] + len(imported)
    assert gc.get_freeze_count() == 0

    def broken() -> None:
        for _ in with_rest_set_aside(range(3)):
            raise KeyError

    with pytest.raises(KeyError):
        broken()
    assert gc.get_freeze_count() == 0
