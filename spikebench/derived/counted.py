"""Rows of a counting pass, read back from records."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from spikebench.core.records import Record
from spikebench.derived.sites import Site, neuron_site

_FIELDS = {field.name for field in dataclasses.fields(Site)}
Ids = tuple[str, str, str, str]
IDS = ("job_id", "cell_id", "machine_id", "source_id")


@dataclasses.dataclass(slots=True)
class Counted:
    """What one job counted, per image: ``sites`` in order of execution, the neuron layers after them.

    ``split``: of the images that were counted on; empty where no record says it.
    ``membrane``, ``spikes``: membrane updates and spikes of each neuron layer, by scope; ``rates_by_step``: its firing rate at
    each time step. ``events_by_step``: events of a site at each time step, by place; empty where steps were not counted apart.
    ``complete``: False if something could not be counted, so that sums are lower bounds. ``ids``: of the job that counted.
    """

    ids: Ids
    sites: list[Site] = dataclasses.field(default_factory=list)
    membrane: dict[str, float] = dataclasses.field(default_factory=dict)
    spikes: dict[str, float] = dataclasses.field(default_factory=dict)
    rates_by_step: dict[str, dict[int, float]] = dataclasses.field(default_factory=dict)
    events_by_step: dict[int, dict[int, float]] = dataclasses.field(default_factory=dict)
    time_steps: int = 1
    complete: bool = True
    split: str = ""
    reason: str = ""


def counted(records: Iterable[Record]) -> Iterator[Counted]:
    """One for each job that has counts, or that says why it has none."""
    rows: dict[Ids, dict[int, dict[str, Any]]] = {}
    found: dict[Ids, Counted] = {}
    for record in records:
        if record.kind != "counted":
            continue
        ids: Ids = (record.job_id, record.cell_id, record.machine_id, record.source_id)
        job = found.get(ids)
        if job is None:
            job = found[ids] = Counted(ids)
        if record.metric == "time_steps" and record.value is not None:
            job.time_steps = int(record.value)
        elif (
            record.metric == "events"
            and not record.scope
            and not ("site" in record.conditions or "operation" in record.conditions)
        ):
            job.complete = record.conditions.get("complete") is not False
            job.split = str(record.conditions.get("split", ""))
            job.reason = record.reason
        elif record.metric in ("membrane_updates", "spikes") and record.scope and record.value is not None:
            (job.membrane if record.metric == "membrane_updates" else job.spikes)[record.scope] = record.value
        elif record.metric == "firing_rate" and record.scope and "t" in record.conditions and record.value is not None:
            job.rates_by_step.setdefault(record.scope, {})[int(record.conditions["t"])] = record.value
        elif record.metric == "events_by_step" and record.value is not None:
            job.events_by_step.setdefault(int(record.conditions["site"]), {})[int(record.conditions["t"])] = record.value
        elif record.metric in _FIELDS and "site" in record.conditions:
            place = int(record.conditions["site"])
            sites = rows.setdefault(ids, {})
            row = sites.get(place)
            if row is None:
                row = sites[place] = {"site": place, "scope": record.scope, "unit_acs": None}
            for name in ("operation", "input", "known_by"):
                if name in record.conditions:
                    row[name] = record.conditions[name]
            row[record.metric] = record.value
    for ids, job in found.items():
        for place in sorted(rows.get(ids, {})):
            job.sites.append(_site(rows[ids][place]))
        last = len(rows.get(ids, {}))
        job.sites += [neuron_site(last + place, scope, updates) for place, (scope, updates) in enumerate(job.membrane.items())]
        if job.sites or job.reason:
            yield job


def _site(row: dict[str, Any]) -> Site:
    """A layer's one-sided counts are not stored, since they follow: its right operand, the weights, is always there."""
    site = Site(**row)
    if site.synaptic and not site.is_product:
        return dataclasses.replace(site, events_left=site.events, events_right=site.dense_macs_inside)
    return site
