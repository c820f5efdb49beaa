"""Records of one group into one number: seeds make the mean and its interval, everything else stays apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any
from weakref import WeakKeyDictionary

from spikebench.core.records import Record, Scalar, spell
from spikebench.derived.statistics import Interval, mean_interval
from spikebench.reading.model.frame import Frame, Group

PER_STEP = ("epoch", "t")
"""Conditions that make a curve of records, not a quantity of its own."""


@dataclasses.dataclass(frozen=True, slots=True)
class Quantity:
    """What a column holds: a metric under conditions. Times of several machines are several quantities."""

    metric: str
    conditions: tuple[tuple[str, str], ...] = ()
    machine_id: str = ""

    def condition(self, name: str) -> str:
        return dict(self.conditions).get(name, "")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """One quantity of one group. ``values``: seed -> value; ``missing``: seed -> why that seed has none. ``answers``: of an
    accuracy, seed -> for every test image 1 (right) or 0, where they are kept. Each is equal to itself alone.
    """

    values: Mapping[int, float]
    missing: Mapping[int, str]
    whole: bool
    answers: Mapping[int, Sequence[int | float]] = dataclasses.field(default_factory=dict)

    @property
    def n(self) -> int:
        return len(self.values)

    def interval(self, confidence: float = 0.95) -> Interval | None:
        """Mean over seeds with its t interval; None if no seed has a value."""
        return mean_interval(list(self.values.values()), confidence) if self.values else None

    @property
    def reason(self) -> str:
        """Why values are missing, one sentence; "" if none are."""
        grouped: dict[str, list[int]] = {}
        for seed, why in self.missing.items():
            grouped.setdefault(why, []).append(seed)
        parts = [f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, sorted(seeds)))}: {why}" for why, seeds in grouped.items()]
        return next(iter(grouped)) if len(grouped) == 1 and not self.values else "; ".join(parts)


def quantity_of(frame: Frame, record: Record) -> Quantity:
    """The column that a record belongs in.

    A condition that only repeats the cell's own factor (accuracy at the T that the network was trained with) is no condition.
    """
    own = frame.cell_factors.get(record.cell_id, {})
    conditions = tuple(
        (name, spell(value)) for name, value in sorted(record.conditions.items()) if not _repeats_factor(name, value, own)
    )
    return Quantity(record.metric, conditions, "" if frame.metric(record.metric).portable else record.machine_id)


def is_whole(record: Record) -> bool:
    """Whether a record is about the whole network. An operation in the outermost module has no path but is a site."""
    return not record.scope and record.conditions.keys().isdisjoint(("site", "operation"))


def quantities(frame: Frame) -> dict[Quantity, dict[str, list[Record]]]:
    """quantity -> group_id -> its records of the whole network, curves left out."""
    if frame not in _QUANTITIES:
        _QUANTITIES[frame] = _quantities(frame)
    return {quantity: dict(records) for quantity, records in _QUANTITIES[frame].items()}


_QUANTITIES: WeakKeyDictionary[Frame, dict[Quantity, dict[str, list[Record]]]] = WeakKeyDictionary()
"""Half of a report's sections ask for them."""


def _quantities(frame: Frame) -> dict[Quantity, dict[str, list[Record]]]:
    found: dict[Quantity, dict[str, list[Record]]] = {}
    for record in frame.records:
        # Most are of a layer or of an epoch, and looked at no further.
        if not is_whole(record) or not record.conditions.keys().isdisjoint(PER_STEP):
            continue
        group_id = frame.group_of(record)
        if group_id is not None:
            found.setdefault(quantity_of(frame, record), {}).setdefault(group_id, []).append(record)
    return found


def summary_of(frame: Frame, group_id: str, records: Sequence[Record]) -> Summary:
    """As ``summarise``; the same object for the same records, which several sections ask for."""
    known, key = _SUMMARIES.setdefault(frame, {}), (group_id, *map(id, records))
    if key not in known:
        # Kept with the records: their ids are theirs as long as they are.
        known[key] = (tuple(records), summarise(frame.groups[group_id], records))
    return known[key][1]


_SUMMARIES: WeakKeyDictionary[Frame, dict[tuple[Any, ...], tuple[Sequence[Record], Summary]]] = WeakKeyDictionary()


def summarise(group: Group, records: Sequence[Record]) -> Summary:
    """One value per seed: a seed that was measured more than once (on another machine, by another source) counts once, by its
    mean.

    A seed without any record is missing too.
    """
    values: dict[int, list[float]] = {}
    missing: dict[int, str] = {}
    answers: dict[int, list[Sequence[int | float]]] = {}
    for record in records:
        seed = group.seeds[record.cell_id]
        if record.value is None:
            missing[seed] = record.reason
        else:
            values.setdefault(seed, []).append(record.value)
            if right_or_wrong(record):
                answers.setdefault(seed, []).append(record.samples or ())
    for seed in group.seeds.values():
        missing.setdefault(seed, "not measured (the job has not run, or its file could not be read)")
    whole = all(isinstance(record.value, int) for record in records if record.value is not None)
    return Summary(
        {seed: numbers[0] if len(numbers) == 1 else fmean(numbers) for seed, numbers in sorted(values.items())},
        {seed: why for seed, why in missing.items() if seed not in values},
        whole,
        {seed: same[0] for seed, same in answers.items() if len(same) == len(values[seed]) == 1},
    )


def right_or_wrong(record: Record) -> bool:
    """Whether a record keeps, image by image, what its value is the mean of."""
    samples = record.samples
    if not samples or record.value is None or len(samples) < 2 or not set(samples) <= {0, 1}:
        return False
    return abs(sum(samples) / len(samples) - record.value) < 1e-6


def _repeats_factor(name: str, value: Scalar, own: Mapping[str, object]) -> bool:
    return name in own and own[name] == value
