"""Stored lines into records, many at once: what ``Record.from_json`` makes of each, in a fraction of its time and memory.

A million records of a long training differ in little more than their values. So a line is cut around its value and before its
conditions; a part that was seen before is not parsed again, and what records share is one object. A line that ``Record.to_json``
would not have written, damaged or merely unusual, is given to ``Record.from_json``, which alone decides what is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from spikebench.core.json_text import scan
from spikebench.core.metrics import Kind
from spikebench.core.records import Record, Scalar, are_conditions, are_samples

MOST = 65_536
"""Different ends of lines that are remembered."""
_METRIC, _VALUE, _CONDITIONS = '{"metric": ', '"value": ', '"conditions": '
_SAMPLES, _END = ', "samples": ', ', "status": "ok"}'
_KINDS: Mapping[Any, Kind] = {kind: kind for kind in get_args(Kind)}


class Lines:
    """Reads the lines of any number of files; what they have in common is shared."""

    def __init__(self) -> None:
        self._heads, self._middles = _Heads(), _Middles()
        self._ends: dict[str, Mapping[str, Scalar]] = {}
        self._conditions: dict[str, Mapping[str, Scalar]] = {}

    def records(self, lines: Iterable[str], ids: Mapping[str, str]) -> Iterator[Record]:
        """A record for each line. ``ids``: the four of a record. Raises ValueError as ``Record.from_json`` does."""
        heads, middles, ends = self._heads, self._middles, self._ends
        four = (ids["job_id"], ids["cell_id"], ids["machine_id"], ids["source_id"])
        for line in lines:
            try:
                at = line.index(_VALUE) + len(_VALUE)
                value, after = scan(line, at)
                kind = type(value)
                if (kind is not float and kind is not int) or not -(2.0**63) < value < 2.0**63:
                    raise ValueError("no plain number")
                cut = line.index(_CONDITIONS, after) + len(_CONDITIONS)
                end, samples = line[cut:], None
                conditions = ends.get(end)
                if conditions is None:
                    conditions, samples = self._parse(end)
                record = Record(heads[line[:at]], value, *middles[line[after:cut]], conditions, samples, "ok", "", *four)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                record = Record.from_json(line, **ids)
            yield record

    def _parse(self, end: str) -> tuple[Mapping[str, Scalar], Any]:
        """The conditions, and the samples where there are any. Raises ValueError for what is no end of a plain value's line."""
        found, at = scan(end)
        if not are_conditions(found):
            raise ValueError("no conditions")
        if len(self._ends) >= MOST:
            self._ends.clear()
            self._conditions.clear()
        # By their text: 1, 1.0 and True are equal, and so are both zeros.
        conditions = self._conditions.setdefault(end[:at], found)
        if end[at:] == _END:
            self._ends[end] = conditions
            return conditions, None
        samples, after = scan(end, at + len(_SAMPLES))
        if not end.startswith(_SAMPLES, at) or end[after:] != _END or not are_samples(samples):
            raise ValueError("not as it is written")
        return conditions, samples


class _Heads(dict[str, str]):
    """What stands before a value -> the metric."""

    def __missing__(self, head: str) -> str:
        metric, _ = scan(head, len(_METRIC))
        if not isinstance(metric, str) or head != f"{_METRIC}{_spell(metric)}, {_VALUE}":
            raise ValueError("not as it is written")
        self[head] = metric
        return metric


class _Middles(dict[str, tuple[str, Kind, str]]):
    """What stands between a value and the conditions -> unit, kind and scope."""

    def __missing__(self, middle: str) -> tuple[str, Kind, str]:
        data, _ = scan(f"{{{middle[2:]}0}}")
        unit, kind, scope = data["unit"], _KINDS[data["kind"]], data["scope"]
        written = f', "unit": {_spell(unit)}, "kind": "{kind}", "scope": {_spell(scope)}, {_CONDITIONS}'
        if not isinstance(unit, str) or not isinstance(scope, str) or middle != written:
            raise ValueError("not as it is written")
        self[middle] = found = (unit, kind, scope)
        return found


def _spell(text: Any) -> str:
    return json.dumps(text, ensure_ascii=False)
