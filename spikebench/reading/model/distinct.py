"""Every record once, however many folders hold it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from spikebench.core.records import Record

Seen = dict[tuple[str, str], set[int]]
"""metric and scope -> the numbers of the conditions under which there is a record."""
MOST = 65_536
"""Conditions whose number is remembered: records that were read together share theirs."""


class Distinct:
    """Of records with the same job, cell, machine, metric, conditions and scope the first is kept. ``records``: those, in order.

    What stands where is remembered by job and looked at only if the job comes again: a million records of one job are not
    addressed a second time.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._places: dict[tuple[str, str, str], list[range]] = {}
        self._numbers: dict[tuple[tuple[str, str], ...], int] = {}
        self._known: dict[int, tuple[Any, int]] = {}

    def add(self, job: tuple[str, str, str], records: Iterable[Record]) -> None:
        """``job``: the ids of job, cell and machine that all the records have."""
        places, seen = self._places.setdefault(job, []), Seen()
        for place in (place for same in places for place in same):
            self._is_new(self.records[place], seen)
        begin = len(self.records)
        self.records += [record for record in records if self._is_new(record, seen)]
        places.append(range(begin, len(self.records)))

    def _is_new(self, record: Record, seen: Seen) -> bool:
        conditions = record.conditions
        known = self._known.get(id(conditions)) or self._know(conditions)
        name = (record.metric, record.scope)
        there = seen.get(name)
        if there is None:
            there = seen[name] = set()
        before = len(there)
        there.add(known[1])
        return len(there) > before

    def _know(self, conditions: Any) -> tuple[Any, int]:
        """A number for these conditions, the same for all that are spelled so."""
        if len(self._known) >= MOST:
            self._known.clear()
        spelled = tuple(sorted((name, str(value)) for name, value in conditions.items()))
        # Kept with the conditions themselves: their id is theirs as long as they are.
        found = self._known[id(conditions)] = (conditions, self._numbers.setdefault(spelled, len(self._numbers)))
        return found
