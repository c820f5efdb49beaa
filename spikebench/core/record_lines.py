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
        texts, shared = self._texts, self._conditions
        four = (ids["job_id"], ids["cell_id"], ids["machine_id"], ids["source_id"])
        for line in lines:
            try:
                data, end = scan(line)
                if end != len(line) or data["status"] != "ok" or "reason" in data:
                    raise ValueError("more than a plain number")
                given = data["conditions"]
                kinds = tuple(map(type, given.values()))
                record = Record(
                    texts[data["metric"]],
                    _number(data["value"]),
                    texts[data["unit"]],
                    _KINDS[data["kind"]],
                    texts[data["scope"]],
                    # 1 and True are equal, so types go with values; 0.0 and -0.0 are, too, so floats are not shared.
                    _checked(given) if float in kinds else shared[(*given.items(), kinds)],
                    _samples(data["samples"]) if "samples" in data else None,
                    "ok",
                    "",
                    *four,
                )
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                record = Record.from_json(line, **ids)
            yield record


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


def _number(value: Any) -> int | float:
    """One that any machine holds. Raises ValueError for anything else."""
    kind = type(value)
    if (kind is float and math.isfinite(value)) or (kind is int and -(2**63) < value < 2**63):
        return value  # type: ignore[no-any-return]
    raise ValueError("no number")


def _checked(conditions: dict[str, Scalar]) -> dict[str, Scalar]:
    if not are_conditions(conditions):
        raise ValueError("no conditions")
    return conditions


def _samples(samples: Any) -> Any:
    if not are_samples(samples):
        raise ValueError("no samples")
    return samples
