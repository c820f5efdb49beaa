"""Reading much without Python's search for cyclic garbage."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


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
def set_aside() -> Iterator[None]:
    """What there is now is not searched in this block, what is made in it is: drawing a plot leaves cycles behind, the records
    that it shows none. Nothing where the program around has set objects aside itself."""
    ours = gc.get_freeze_count() == 0
    if ours:
        gc.freeze()
    try:
        yield
    finally:
        if ours:
            gc.unfreeze()
