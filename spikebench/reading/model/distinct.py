"""Every record once, however many folders hold it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from spikebench.core.records import Record

Address = tuple[str, str, tuple[tuple[str, str], ...]]
MOST = 65_536
"""Spelled conditions that are remembered: records that were read together share theirs."""


class Distinct:
    """Of records with the same job, cell, machine, metric, conditions and scope the first is kept. ``records``: those, in order.

    What stands where is remembered by job and looked at only if the job comes again: a million records of one job are not
    addressed a second time.
    """

    def __init__(self) -> None:
        self.records: list[Record] = []
        self._places: dict[tuple[str, str, str], list[range]] = {}
        self._spelled: dict[int, tuple[Any, tuple[tuple[str, str], ...]]] = {}

    def add(self, job: tuple[str, str, str], records: Iterable[Record]) -> None:
        """``job``: the ids of job, cell and machine that all the records have."""
        places = self._places.setdefault(job, [])
        seen = {self._address(self.records[place]) for same in places for place in same}
        begin = len(self.records)
        for record in records:
            address = self._address(record)
            if address not in seen:
                seen.add(address)
                self.records.append(record)
        places.append(range(begin, len(self.records)))

    def _address(self, record: Record) -> Address:
        known = self._spelled.get(id(record.conditions))
        if known is None:
            if len(self._spelled) >= MOST:
                self._spelled.clear()
            # Kept with the conditions themselves: their id is theirs as long as they are.
            spelled = tuple(sorted((name, str(value)) for name, value in record.conditions.items()))
            known = self._spelled[id(record.conditions)] = (record.conditions, spelled)
        return record.metric, record.scope, known[1]
