"""Networks on chips, read from records: which chips, what they say of a group, and the formula behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from spikebench.core.errors import InputError
from spikebench.core.records import Record, Selector
from spikebench.derived.chip import load_chip
from spikebench.derived.counted import counted
from spikebench.derived.on_chip import OnChip
from spikebench.derived.workload import loads
from spikebench.reading.model.display import PREFIXES
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.questions import of_one_question
from spikebench.reading.model.summary import is_whole

APART = ("complete", "steps")
"""Conditions that say how good a number is, not what it is of."""


def chips_of(frame: Frame) -> list[str]:
    """The chips that there are estimates for, in the suite's order."""
    return list(dict.fromkeys(str(record.conditions["chip"]) for record in frame.by_metric.get("chip_energy", ())))


def records_of(frame: Frame, metric: str, **conditions: str | float) -> dict[str, list[Record]]:
    """group_id -> the records of the whole network under these conditions, of one split."""
    found: dict[str, list[Record]] = {}
    of_all = (
        record
        for record in frame.by_metric.get(metric, ())
        if is_whole(record) and all(record.conditions.get(name) == value for name, value in conditions.items())
    )
    for record in of_one_question(of_all, apart=APART):
        group_id = frame.group_of(record)
        if group_id is not None:
            found.setdefault(group_id, []).append(record)
    return found


def mean_of(records: Sequence[Record]) -> float | None:
    """Over seeds; None where none has a value."""
    values = [record.value for record in records if record.value is not None]
    return fmean(values) if values else None


def chip_formula(frame: Frame, group_id: str, selector: Selector) -> str:
    """``E = 76,871 dense synaptic events × 35.5 pJ + ...``, means over seeds; "" where no chip is named that is there."""
    if selector.metric != "chip_energy" or "chip" not in selector.conditions:
        return ""
    try:
        chip = load_chip(selector.conditions["chip"])
    except InputError:
        return ""
    split = selector.conditions.get("split", "")
    jobs = [job for job in counted(r for r in frame.by_group.get(group_id, ()) if r.kind == "counted") if job.split == split]
    found = [OnChip(chip, loads(job)) for job in jobs if job.sites]
    if not found or any(one.why_no_energy for one in found):
        return ""
    counts: dict[str, list[float]] = {}
    prices: dict[str, float] = {}
    for one in found:
        for amount in one.amounts:
            counts.setdefault(amount.what, []).append(amount.count)
            prices[amount.what] = amount.joules
    terms = [f"{sum(counts[what]) / len(found):,.0f} {what} × {in_units(prices[what], 'J')}" for what in counts]
    static = fmean(one.parts["static"] for one in found)
    terms += [f"{in_units(static, 'J')} of static power"] if static else []
    basis = f"figures {chip.basis}: {chip.source}"
    fits = f" {found[0].fits[0].upper()}{found[0].fits[1:]}." if found[0].fits else ""
    beyond = f" No train of spikes is the input of {', '.join(found[0].beyond)}." if found[0].beyond else ""
    left_out = f" It leaves out {', '.join(chip.leaves_out)}."
    return f"E = {' + '.join(terms)} ({chip.name}, version {chip.version}; {basis}).{fits}{beyond}{left_out}"


def in_units(value: float, unit: str) -> str:
    """``35.5 pJ``"""
    for exponent, prefix in sorted(PREFIXES.items(), reverse=True):
        if abs(value) >= 10.0**exponent:
            return f"{value / 10.0**exponent:.4g} {prefix}{unit}"
    return f"{value * 1e12:.4g} p{unit}"


def parts_of(frame: Frame, group_id: str, chip: str) -> Mapping[str, float]:
    """part -> joules of an image, means over seeds; empty where there is no energy."""
    from spikebench.derived.many_cores import PARTS

    found = {}
    for part in PARTS:
        value = mean_of(records_of(frame, "chip_energy_part", chip=chip, part=part).get(group_id, ()))
        if value is not None:
            found[part] = value
    return found
