"""Reading much without Python's search for cyclic garbage."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
SETTLED = 20
"""After so many items all modules are imported that ever are."""


@contextmanager
def not_searched() -> Iterator[None]:
    """No search for cyclic garbage in this block (or decorated function): of a million records read none is garbage, and the
    search would look through all of them again and again. What is collected by counting references still is."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@contextmanager
def set_aside() -> Iterator[Callable[[], None]]:
    """What there is now is not searched in this block, what is made in it is: drawing a plot leaves cycles behind, the records
    that it shows none. Called, what the block is given sets aside what has come to stay since (modules that were imported), once
    garbage is collected. Nothing where the program around has set objects aside itself."""
    ours = gc.get_freeze_count() == 0

    def again() -> None:
        if ours:
            gc.collect()
            gc.freeze()

    if ours:
        gc.freeze()
    try:
        yield again
    finally:
        if ours:
            gc.unfreeze()


def with_rest_set_aside(items: Iterable[Item]) -> Iterator[Item]:
    """The items, with what was there before they were worked on, modules above all, set aside until the last one is: each search
    for garbage would look through it, which is a tenth of the time of small jobs."""
    with set_aside() as again:
        for count, item in enumerate(items):
            if count == SETTLED:
                again()
            yield item
