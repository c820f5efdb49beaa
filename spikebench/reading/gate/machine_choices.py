"""What a machine decided between two results: neither side failed, but their numbers answer two questions.

``amp: auto`` and ``device: auto`` mean on each machine what it can do best. Where they came out differently, what shapes alone
decide is compared as always, and so is what came out equal; the rest is not comparable, and both values are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeVar

from spikebench.reading.model.factors import STAGES, Factor

FACTORS = tuple(f"{prefix}.amp" for prefix in STAGES.values())
"""Options of a cell's training that ``auto`` leaves to the machine."""

CONDITIONS = ("precision",)
"""Conditions of a record that say what ``auto`` came to."""

Key = TypeVar("Key")
Value = TypeVar("Value")


def counterparts(lonely: Mapping[Key, Mapping[str, Value]], others: Mapping[Key, Mapping[str, Value]]) -> dict[Key, Key]:
    """Which of ``others`` each of ``lonely`` is but for the machine's choices; None of those for which several would do."""
    bare = {key: _bare(row) for key, row in others.items()}
    found: dict[Key, Key] = {}
    for key, row in lonely.items():
        same = [other for other, rest in bare.items() if rest == _bare(row)]
        if len(same) == 1 and same[0] not in found.values():
            found[key] = same[0]
    return found


def differences(old: Mapping[str, Factor], new: Mapping[str, Factor]) -> Iterator[str]:
    """``train.amp is bf16 in the old results and off in the new``, for each choice that came out differently."""
    for name in (*FACTORS, *CONDITIONS, "device"):
        before, after = old.get(name, "auto"), new.get(name, "auto")
        if before != after and (name in old or name in new):
            yield f"{name} is {before} in the old results and {after} in the new"


def _bare(row: Mapping[str, Value]) -> dict[str, str]:
    return {name: repr(value) for name, value in row.items() if name not in (*FACTORS, *CONDITIONS)}
