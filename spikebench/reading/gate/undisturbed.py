"""Calls that a harness threw out of its value because something else disturbed the machine; a gate must not count them either."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import compress

from spikebench.core.records import Record, spell

FLAGS = {
    "latency": "spoiled_rounds",
    "kernel_time": "kernel_spoiled",
    "kernel_speedup": "kernel_spoiled",
    "copy_fraction": "kernel_spoiled",
}
"""Metric -> the metric that has, under the same conditions, 1 for each of its samples that was spoiled."""
RATIOS: Mapping[str, Mapping[str, str]] = {"kernel_speedup": {"backend": "spikingjelly"}, "copy_fraction": {}}
"""Where the flags of the other call of each round are; a copy's are not kept."""
Address = tuple[str, str, str, str, tuple[tuple[str, str], ...]]


def undisturbed(records: Iterable[Record]) -> Iterator[Record]:
    """The records with the samples that their values summarise.

    As the harness does it: where most calls are spoiled none is left out, since the machine was busy all along. Flags are not
    needed twice: records without them (a baseline keeps none) stay as they are.
    """
    records = list(records)
    flags = {_address(r, r.metric): r.samples for r in records if r.metric in FLAGS.values() and r.samples}
    for record in records:
        name = FLAGS.get(record.metric)
        spoiled = () if name is None or not record.samples else _spoiled(record, name, flags)
        clean = list(compress(record.samples or (), (not flag for flag in spoiled)))
        left_out = 0 < len(clean) < len(spoiled) and 2 * len(clean) >= len(spoiled)
        yield dataclasses.replace(record, samples=clean) if left_out else record


def _spoiled(record: Record, name: str, flags: Mapping[Address, Sequence[int | float]]) -> Sequence[bool]:
    """One for each sample; empty where the flags are of another series."""
    count = len(record.samples or ())
    known = [flags.get(_address(record, name, change), ()) for change in ({}, RATIOS.get(record.metric, {}))]
    known = [each for each in known if each]
    # A ratio has as many rounds as the shorter of its two series.
    exact = record.metric in RATIOS or all(len(each) == count for each in known)
    if not known or not exact or any(len(each) < count for each in known):
        return ()
    return [any(round) for round in zip(*(each[:count] for each in known), strict=True)]


def _address(record: Record, metric: str, change: Mapping[str, str] | None = None) -> Address:
    conditions = {name: spell(value) for name, value in record.conditions.items()} | dict(change or {})
    return (record.job_id, record.cell_id, record.machine_id, metric, tuple(sorted(conditions.items())))
