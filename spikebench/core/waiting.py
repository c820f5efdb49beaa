"""Jobs that fail for want of weights that another job was to make: they are told with that one, once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple, TypeVar

Key = TypeVar("Key")
UNTRAINED = "no trained weights: its training failed, or has not run"
_NOT_PRETRAINED = re.compile(r"no pre-trained weights: the pre-training of cell (\w+) failed, or has not run")


def not_pretrained(cell_id: str) -> str:
    """Why a network cannot start from the pre-training that is this cell's job."""
    return f"no pre-trained weights: the pre-training of cell {cell_id} failed, or has not run"


def awaited(cell_id: str, reason: str) -> str:
    """The cell_id whose weights a job of ``cell_id`` waited for that failed for this reason; "" for any other reason."""
    found = _NOT_PRETRAINED.fullmatch(reason)
    return found[1] if found else cell_id if reason == UNTRAINED else ""


class Failure(NamedTuple):
    """``stage``: the job was to make weights."""

    cell_id: str
    stage: bool
    reason: str


def told_once(failures: Mapping[Key, Failure]) -> dict[Key, int]:
    """Those that must be told, in their order, each with the number of others that failed because of it alone."""
    makers = {one.cell_id: key for key, one in failures.items() if one.stage}
    causes = {key: makers.get(awaited(one.cell_id, one.reason), key) for key, one in failures.items()}
    found = {key: 0 for key, cause in causes.items() if cause == key}
    for key in causes.keys() - found.keys():
        cause, seen = key, set[Key]()
        while cause not in found and cause not in seen:  # a measurement waits for a training that waits for a pre-training
            seen.add(cause)
            cause = causes[cause]
        found[cause] = found.get(cause, 0) + 1
    return found


def waiting(count: int) -> str:
    """The end of a failure's line: how many jobs wait for it; "" for none."""
    return f"; {count} {'jobs wait' if count > 1 else 'job waits'} for its weights" if count else ""
