"""Two results side by side: which of their numbers are the same question, and what changed."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from spikebench.core.errors import NotComparableError
from spikebench.core.metrics import VALUE_FREE, Metric
from spikebench.core.records import Record, Selector, spell
from spikebench.reading.gate import machine_choices
from spikebench.reading.gate.undisturbed import undisturbed
from spikebench.reading.model import factors
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.layers import is_whole, layer_names
from spikebench.reading.model.summary import PER_STEP

Conditions = tuple[tuple[str, str], ...]
Seeds = dict[int, list[Record]]


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """One quantity of one group on both sides: ``old`` and ``new`` are seed -> record, ``layers`` the same by module path.

    A side that lacks the quantity is empty. Where a side was measured on several machines, the records of the machine that the
    other side has too are taken. ``apart``: what the two machines decided differently, "" for nothing.
    """

    group_id: str
    name: str
    metric: Metric
    conditions: Conditions
    old: Mapping[int, Record]
    new: Mapping[int, Record]
    layers: Mapping[str, tuple[Mapping[int, Record], Mapping[int, Record]]]
    apart: str = ""

    @property
    def address(self) -> str:
        """The quantity in selector syntax."""
        return str(Selector(self.metric.name, dict(self.conditions)))

    @property
    def seeds(self) -> list[int]:
        """Seeds that both sides have a value for."""
        return [
            s for s, record in self.old.items() if record.value is not None and s in self.new and self.new[s].value is not None
        ]

    @property
    def same_machine(self) -> bool:
        return all(self.old[seed].machine_id == self.new[seed].machine_id for seed in self.old if seed in self.new)

    @property
    def excused(self) -> bool:
        """Whether a difference may come of what the machines decided; not where shapes alone make the number."""
        return bool(self.apart) and self.metric.name not in VALUE_FREE

    def values(self) -> tuple[dict[int, float], dict[int, float]]:
        """seed -> value of both sides, over the shared seeds."""
        return (
            {seed: float(self.old[seed].value or 0) for seed in self.seeds},
            {seed: float(self.new[seed].value or 0) for seed in self.seeds},
        )


def matching_groups(old: Frame, new: Frame) -> dict[str, str]:
    """group_id of ``new`` -> group_id of ``old`` that answers the same question.

    By id; where no id is shared (the training code or a component has a new version) by equal factors; the rest by factors that
    differ in a machine's choices alone. Raises NotComparableError if none match.
    """
    shared = {group_id: group_id for group_id in new.groups if group_id in old.groups}
    questions, known = _questions(new), _questions(old)
    if not shared:
        by_question = {repr(question): group_id for group_id, question in known.items()}
        candidates = {group_id: by_question.get(repr(question)) for group_id, question in questions.items()}
        shared = {group_id: other for group_id, other in candidates.items() if other is not None}
    taken = set(shared.values())
    shared |= machine_choices.counterparts(
        {group_id: dict(question) for group_id, question in questions.items() if group_id not in shared},
        {group_id: dict(question) for group_id, question in known.items() if group_id not in taken},
    )
    if not shared:
        raise NotComparableError(
            f"nothing to compare: none of the {len(new.groups)} variants of {new.suite.name or 'the new results'} is among the "
            f"{len(old.groups)} of {old.suite.name or 'the old results'} (the same network, data set and training)"
        )
    return shared


def pairs(old: Frame, new: Frame) -> Iterator[Pair]:
    """Every whole-network quantity of the shared groups, whichever side has it; curves are left out."""
    groups = matching_groups(old, new)
    olds, news = _index(old), _index(new)
    for new_group, old_group in groups.items():
        here, there = news.get(new_group, {}), olds.get(old_group, {})
        elsewhere = machine_choices.counterparts(
            {key: _facts(key) for key in there if key not in here}, {key: _facts(key) for key in here if key not in there}
        )
        moved = set(elsewhere.values())
        for key in dict.fromkeys([*there, *(key for key in here if key not in moved)]):
            metric, conditions = key
            declared = (new if any(record.metric == metric for record in new.records) else old).metric(metric)
            other = elsewhere.get(key, key)
            before, after = _matched(there.get(key, {}), here.get(other, {}))
            if "" in before or "" in after:
                layers = {
                    scope: (before.get(scope, {}), after.get(scope, {})) for scope in dict.fromkeys([*before, *after]) if scope
                }
                apart = machine_choices.differences(
                    {**old.groups[old_group].factors, **dict(conditions), **_device(old, before.get("", {}))},
                    {**new.groups[new_group].factors, **dict(other[1]), **_device(new, after.get("", {}))},
                )
                shown = tuple(condition for condition in conditions if condition in other[1])
                sides = (before.get("", {}), after.get("", {}))
                yield Pair(new_group, new.name(new_group), declared, shown, *sides, layers, "; ".join(apart))


Scopes = dict[str, Seeds]


def _index(frame: Frame) -> dict[str, dict[tuple[str, Conditions], Scopes]]:
    """group -> (metric, conditions of the whole) -> layer -> seed -> records; the whole network is the layer "".

    A layer's record belongs to every whole whose conditions it shares.
    """
    found: dict[str, dict[tuple[str, Conditions], Scopes]] = {}
    layers: list[tuple[str, Record]] = []
    for record in undisturbed(frame.records):
        group_id = frame.group_of(record)
        if group_id is None or any(name in record.conditions for name in PER_STEP):
            continue
        if not is_whole(record):
            layers.append((group_id, record))
        else:
            scopes = found.setdefault(group_id, {}).setdefault((record.metric, _spelled(record)), {})
            scopes.setdefault("", {}).setdefault(_seed(frame, record), []).append(record)
    names = layer_names(record for _, record in layers)
    for group_id, record in layers:
        own = dict(_spelled(record))
        for (metric, conditions), scopes in found.get(group_id, {}).items():
            if metric == record.metric and all(own.get(name) == value for name, value in conditions):
                scopes.setdefault(names[id(record)], {}).setdefault(_seed(frame, record), []).append(record)
    return found


def _matched(old: Scopes, new: Scopes) -> tuple[dict[str, dict[int, Record]], dict[str, dict[int, Record]]]:
    machines = {r.machine_id for seeds in old.values() for records in seeds.values() for r in records}
    machines &= {r.machine_id for seeds in new.values() for records in seeds.values() for r in records}

    def pick(scopes: Scopes) -> dict[str, dict[int, Record]]:
        return {
            scope: {seed: next((r for r in records if r.machine_id in machines), records[0]) for seed, records in seeds.items()}
            for scope, seeds in scopes.items()
        }

    return pick(old), pick(new)


def _spelled(record: Record) -> Conditions:
    return tuple((name, spell(value)) for name, value in sorted(record.conditions.items()))


def _seed(frame: Frame, record: Record) -> int:
    return int(frame.cells[record.cell_id].get("seed", 0))


def _questions(frame: Frame) -> dict[str, Sequence[tuple[str, factors.Factor]]]:
    return {group_id: _question(group.factors) for group_id, group in frame.groups.items()}


def _question(row: Mapping[str, factors.Factor]) -> Sequence[tuple[str, factors.Factor]]:
    return sorted((name, value) for name, value in row.items() if name != "seed" and not name.endswith(factors.VERSION))


def _facts(key: tuple[str, Conditions]) -> dict[str, str]:
    return {"": key[0], **dict(key[1])}


def _device(frame: Frame, records: Mapping[int, Record]) -> dict[str, str]:
    """``device``: the kind of device that the records were measured on, if it is known and one."""
    kinds = {frame.devices.get(record.job_id, "") for record in records.values()} - {""}
    return {"device": kinds.pop()} if len(kinds) == 1 else {}
