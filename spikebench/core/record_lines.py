"""Stored lines into records, many at once: what ``Record.from_json`` makes of each, in a fraction of its time and memory.

A million records of a long training differ in little more than their values. So a line that was seen before but for its value is
not parsed again, and texts and conditions that records share are one object each. A line that ``Record.to_json`` would not have
written, damaged or merely unusual, is given to ``Record.from_json``, which alone decides what is wrong with it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple, get_args

from spikebench.core.json_text import scan
from spikebench.core.metrics import Kind
from spikebench.core.records import Record, Scalar, are_conditions, are_samples

MOST = 65_536
"""Different lines that are remembered."""
_VALUE = '"value": '
_KINDS: Mapping[Any, Kind] = {kind: kind for kind in get_args(Kind)}


class _Rest(NamedTuple):
    """What a line says after its value."""

    unit: str
    kind: Kind
    scope: str
    conditions: Mapping[str, Scalar]


class Lines:
    """Reads the lines of any number of files; what they have in common is shared."""

    def __init__(self) -> None:
        self._metrics: dict[str, str] = {}
        self._rests: dict[str, _Rest] = {}
        self._texts = _Texts()
        self._conditions = _Conditions()

    def records(self, lines: Iterable[str], ids: Mapping[str, str]) -> Iterator[Record]:
        """A record for each line. ``ids``: the four of a record. Raises ValueError as ``Record.from_json`` does."""
        metrics, rests = self._metrics, self._rests
        four = (ids["job_id"], ids["cell_id"], ids["machine_id"], ids["source_id"])
        for line in lines:
            try:
                at = line.index(_VALUE) + len(_VALUE)
                value, end = scan(line, at)
                kind = type(value)
                if (kind is not float and kind is not int) or not -(2.0**63) < value < 2.0**63:
                    raise ValueError("no plain number")
                head, tail = line[:at], line[end:]
                metric, rest, samples = metrics.get(head), rests.get(tail), None
                if metric is None or rest is None:
                    metric, rest, samples = self._parse(line, head, tail)
                record = Record(metric, value, *rest, samples, "ok", "", *four)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                record = Record.from_json(line, **ids)
            yield record

    def _parse(self, line: str, head: str, tail: str) -> tuple[str, _Rest, list[Any] | None]:
        """What stands around the value, and the samples. Raises an exception for what is not plainly a record with a value."""
        data, end = scan(line)
        metric, given = data["metric"], data["conditions"]
        # The value is the record's own, and no second one follows that would count in its stead.
        if head != f'{{"metric": {json.dumps(metric, ensure_ascii=False)}, {_VALUE}' or '"value"' in tail or "\\" in tail:
            raise ValueError("not as it is written")
        if end != len(line) or data["status"] != "ok" or "reason" in data:
            raise ValueError("more than a plain number")
        texts, kinds = self._texts, tuple(map(type, given.values()))
        # 1 and True are equal, so types go with values; 0.0 and -0.0 are, too, so floats are not shared.
        conditions = _checked(given) if float in kinds else self._conditions[(*given.items(), kinds)]
        rest = _Rest(texts[data["unit"]], _KINDS[data["kind"]], texts[data["scope"]], conditions)
        self._metrics[head] = texts[metric]
        if "samples" in data:
            return texts[metric], rest, _samples(data["samples"])
        if len(self._rests) >= MOST:
            self._rests.clear()
        self._rests[tail] = rest
        return texts[metric], rest, None


class _Texts(dict[Any, str]):
    """text -> the same text, one object for all that are equal."""

    def __missing__(self, text: Any) -> str:
        if not isinstance(text, str):
            raise TypeError("no text")
        self[text] = text
        return text


class _Conditions(dict[Any, Mapping[str, Scalar]]):
    """items, and the types of their values -> conditions, one object for all that are equal."""

    def __missing__(self, key: Any) -> Mapping[str, Scalar]:
        self[key] = found = _checked(dict(key[:-1]))
        return found


def _checked(conditions: dict[str, Scalar]) -> dict[str, Scalar]:
    if not are_conditions(conditions):
        raise ValueError("no conditions")
    return conditions


def _samples(samples: Any) -> Any:
    if not are_samples(samples):
        raise ValueError("no samples")
    return samples
