"""Stored lines into records, many at once: what ``Record.from_json`` makes of each, in a fraction of its time and memory.

A line as ``Record.to_json`` writes it takes the short way. Any other one, damaged or merely unusual, is given to
``Record.from_json``, which alone decides what is wrong with it. Texts and conditions that records share are one object each: a
million records of a long training differ in little more than their values.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from spikebench.core.json_text import scan
from spikebench.core.metrics import Kind
from spikebench.core.records import Record, Scalar, are_conditions, are_samples

_KINDS: Mapping[Any, Kind] = {kind: kind for kind in get_args(Kind)}


class Lines:
    """Reads the lines of any number of files; what they have in common is shared."""

    def __init__(self) -> None:
        self._texts = _Texts()
        self._conditions = _Conditions()

    def records(self, lines: Iterable[str], ids: Mapping[str, str]) -> Iterator[Record]:
        """A record for each line. ``ids``: the four of a record. Raises ValueError as ``Record.from_json`` does."""
        four = (ids["job_id"], ids["cell_id"], ids["machine_id"], ids["source_id"])
        for line in lines:
            yield self._shortly(line, four) or Record.from_json(line, **ids)

    def _shortly(self, line: str, ids: tuple[str, str, str, str]) -> Record | None:
        """None for what is not plainly a record with a value."""
        try:
            data, end = scan(line)
            value = data["value"]
            if end != len(line) or data["status"] != "ok" or "reason" in data or not _is_plain(value):
                return None
            given = data["conditions"]
            kinds = tuple(map(type, given.values()))
            return Record(
                self._texts[data["metric"]],
                value,
                self._texts[data["unit"]],
                _KINDS[data["kind"]],
                self._texts[data["scope"]],
                # 1 and True are equal, so types go with values; 0.0 and -0.0 are, too, so floats are not shared.
                _checked(given) if float in kinds else self._conditions[tuple(given.items()), kinds],
                _samples(data["samples"]) if "samples" in data else None,
                "ok",
                "",
                *ids,
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return None


class _Texts(dict[Any, str]):
    """text -> the same text, one object for all that are equal."""

    def __missing__(self, text: Any) -> str:
        if not isinstance(text, str):
            raise TypeError("no text")
        self[text] = text
        return text


class _Conditions(dict[Any, Mapping[str, Scalar]]):
    """(items, types of the values) -> conditions, one object for all that are equal."""

    def __missing__(self, key: Any) -> Mapping[str, Scalar]:
        self[key] = found = _checked(dict(key[0]))
        return found


def _is_plain(value: Any) -> bool:
    """Whether it is a number that any machine holds."""
    return math.isfinite(value) if type(value) is float else type(value) is int and -(2**63) < value < 2**63


def _checked(conditions: dict[str, Scalar]) -> dict[str, Scalar]:
    if not are_conditions(conditions):
        raise ValueError("no conditions")
    return conditions


def _samples(samples: Any) -> Any:
    if not are_samples(samples):
        raise ValueError("no samples")
    return samples
