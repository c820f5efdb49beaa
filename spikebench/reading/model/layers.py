"""Records of single layers: which they are, and what they are called."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from statistics import fmean

from spikebench.core.records import Record, Selector
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.questions import OF_SITE, of_one_question
from spikebench.reading.model.summary import PER_STEP, is_whole

__all__ = ["Layer", "is_whole", "layer_names", "layers_of"]


@dataclasses.dataclass(frozen=True, slots=True)
class Layer:
    """One operation site. ``value``: mean over the seeds of its group, in stored units."""

    name: str
    scope: str
    operation: str
    input: str
    value: float


def layer_names(records: Iterable[Record]) -> dict[int, str]:
    """``id(record)`` -> name of its layer: its path; where a path does several operations, the operation and a number too.

    Not the number of its site: a layer more in the stem would rename all that follow.
    """
    places: dict[tuple[object, ...], dict[tuple[str, str], list[int]]] = {}
    for record in records:
        operation, site = (str(record.conditions.get(name, "")) for name in ("operation", "site"))
        others = sorted((name, str(value)) for name, value in record.conditions.items() if name not in OF_SITE)
        ids = (record.job_id, record.cell_id, record.machine_id, record.metric, record.scope, tuple(others))
        places.setdefault(ids, {}).setdefault((operation, site), []).append(id(record))
    names: dict[int, str] = {}
    for (*_, scope, _), sites in places.items():
        number: dict[str, int] = {}
        for (operation, _), same in sites.items():
            number[operation] = number.get(operation, 0) + 1
            words = [str(scope) or "network", operation, str(number[operation]) if number[operation] > 1 else ""]
            names |= dict.fromkeys(same, " ".join(filter(None, words if len(sites) > 1 else words[:1])))
    return names


def layers_of(frame: Frame, group_id: str, selector: Selector) -> list[Layer]:
    """The layers of a group with the mean over seeds of the selected metric, in order of execution.

    ``selector``: its scope is not asked. Where conditions that it does not name differ, those of the test split are taken, else
    the first: name profile and convention.
    """
    records = of_one_question(
        record
        for record in frame.by_group.get(group_id, ())
        if record.metric == selector.metric
        and not is_whole(record)
        and record.value is not None
        and not any(name in record.conditions for name in PER_STEP)
        and selector.matches_conditions(record.conditions)
    )
    names = layer_names(records)
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(names[id(record)], []).append(record)
    return [_layer(name, same) for name, same in found.items()]


def _layer(name: str, records: list[Record]) -> Layer:
    conditions: Mapping[str, object] = records[0].conditions
    operation, given = (str(conditions.get(key, "")) for key in ("operation", "input"))
    return Layer(name, records[0].scope, operation, given, fmean(record.value for record in records if record.value is not None))
