"""Which records answer the same question, and may stand in one column."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from spikebench.core.metrics import VALUE_FREE
from spikebench.core.records import Record, Scalar, spell

Headers = Mapping[str, Mapping[str, Any]]
"""job_id -> the header of its file."""
OF_SITE = ("site", "operation", "input", "known_by")
"""Conditions that say what a site is, not under which circumstances its number holds."""
ALWAYS = {"accuracy": "test"}
"""The split of harnesses' metrics that had only one, for files from before records said so."""


def with_split(records: Sequence[Record], header: Mapping[str, Any]) -> Iterator[Record]:
    """A job's records, those that depend on a split with the condition that says it; older files leave that to the header."""
    given = dict(header.get("options") or {}).get("split")
    split = given if isinstance(given, str) else None
    # What records share they go on to share; a job's records all are in memory, so no two of their conditions have one id.
    extended: dict[tuple[int, Scalar], Mapping[str, Scalar]] = {}
    for record in records:
        known = ALWAYS.get(record.metric, split)
        if known is None or "split" in record.conditions or record.metric in VALUE_FREE:
            yield record
            continue
        key = (id(record.conditions), known)
        if key not in extended:
            extended[key] = {**record.conditions, "split": known}
        yield record.under(extended[key])


def told_apart(records: Iterable[Record], headers: Headers) -> tuple[list[Record], dict[str, set[str]]]:
    """Where several jobs answer for one cell, but not alike, all records of the metric get what the jobs differ in as conditions.

    ``activity`` of 4 samples and of 359 are two questions, and so are two versions of a harness. What agrees stays one. The
    second value: metric -> the names of the conditions that it was given.
    """
    records = list(records)
    rivals = _rivals(headers)
    answers: dict[tuple[Any, ...], dict[str, set[int | float]]] = {}
    for record in records if rivals else ():
        if record.job_id in rivals and record.value is not None:
            address = (record.metric, record.cell_id, record.scope, conditions_of(record))
            answers.setdefault(address, {}).setdefault(record.job_id, set()).add(record.value)
    given: dict[str, set[str]] = {}
    for (metric, *_, conditions), by_job in answers.items():
        if len(by_job) > 1 and len(set().union(*by_job.values())) > 1:
            told = _differing([headers[job] for job in by_job]) - dict(conditions).keys()
            given.setdefault(metric, set()).update(told or {"job"})
    settings = {job_id: _settings(header) for job_id, header in headers.items()} if given else {}
    return [_with(record, given[record.metric], settings) if record.metric in given else record for record in records], given


def of_one_question(records: Iterable[Record], apart: Collection[str] = ()) -> list[Record]:
    """The records that hold under one set of conditions, those named in ``apart`` and what tells sites apart left aside.

    Of several sets that of the test split, else the first: what is pooled must not mix them.
    """
    found: dict[tuple[tuple[str, str], ...], list[Record]] = {}
    for record in records:
        found.setdefault(conditions_of(record, (*apart, *OF_SITE)), []).append(record)
    return min(found.items(), key=lambda item: dict(item[0]).get("split", "test") != "test")[1] if found else []


def conditions_of(record: Record, without: Collection[str] = ()) -> tuple[tuple[str, str], ...]:
    """Sorted, spelled as in a selector."""
    return tuple((name, spell(value)) for name, value in sorted(record.conditions.items()) if name not in without)


def _settings(header: Mapping[str, Any]) -> dict[str, Scalar]:
    """All that a job's answer depends on, beside its cell; its short id where nothing else tells it from another."""
    options = {name: _scalar(value) for name, value in dict(header.get("options") or {}).items()}
    known = {name: header[name] for name in ("harness_version", "device") if name in header}
    return {**options, **known, "job": str(header.get("job_id"))[:8]}


def _rivals(headers: Headers) -> set[str]:
    """Jobs beside which the same harness did another job on the same cell."""
    by_harness: dict[tuple[Any, Any], list[str]] = {}
    for job_id, header in headers.items():
        by_harness.setdefault((header.get("cell_id"), header.get("harness")), []).append(job_id)
    return {job_id for same in by_harness.values() if len(same) > 1 for job_id in same}


def _differing(headers: Sequence[Mapping[str, Any]]) -> set[str]:
    rows = [_settings(header) for header in headers]
    return {name for row in rows for name in row if name != "job" and len({repr(other.get(name)) for other in rows}) > 1}


def _with(record: Record, names: Collection[str], settings: Mapping[str, Mapping[str, Scalar]]) -> Record:
    own = settings.get(record.job_id, {})
    added = {name: own[name] for name in sorted(names) if name in own and name not in record.conditions}
    return record.under({**record.conditions, **added}) if added else record


def _scalar(value: Any) -> Scalar:
    return value if isinstance(value, (str, int, float, bool)) else json.dumps(value)
