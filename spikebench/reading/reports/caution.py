"""What must be said before anything is praised: networks that learned nothing, or that fall silent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spikebench.core.records import Record
from spikebench.reading.model.chance import Signs
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.paired import paired_of
from spikebench.reading.model.summary import Quantity
from spikebench.reading.reports.columns import summaries

COSTS = ("events", "energy", "latency", "peak_allocated", "parameters")
NAMED = 4
"""Variants or values that a sentence names."""

Found = Mapping[Quantity, Mapping[str, Sequence[Record]]]


def asked(frame: Frame, everything: Found) -> list[Quantity]:
    """What the answer is about: accuracy, and the first cost that was recorded."""
    gain = next((q for q in everything if q.metric == "accuracy" and not q.condition("T")), None)
    cost = next((q for name in COSTS for q in everything if q.metric == name), None)
    return [quantity for quantity in (gain, cost) if quantity is not None]


def guessing(frame: Frame, everything: Found, groups: Sequence[str]) -> list[str]:
    """Those that learned nothing, as far as their accuracy tells."""
    signs = Signs(frame)
    accuracy = next((q for q in asked(frame, everything) if q.metric == "accuracy"), None)
    if accuracy is None:
        return []
    paired = paired_of(frame, frame.metric("accuracy"), summaries(frame, groups, everything[accuracy]))
    means = {name: paired.mean(name) for name in paired.rows}
    return [
        name
        for name, mean in means.items()
        if signs.chance(everything[accuracy].get(name, ()), None if mean is None else mean.low)
    ]


def caution(frame: Frame, everything: Found, groups: Sequence[str]) -> list[str]:
    """Which variants learned nothing or fall silent, one sentence each: what such a network takes little of is no merit."""
    signs, idle = Signs(frame), guessing(frame, everything, groups)
    silent = [name for name in groups if signs.silent(frame.groups[name].seeds)]
    if len(groups) == 1:  # it has no name but its data set's
        said = ["It is no better than guessing."] if idle else []
        said += ["It has neuron layers that never fire; what it takes little of may be low for that."] if silent else []
        return [" ".join(said)] if said else []
    some = 0 < len(idle) < len(groups)
    said = [f"No better than guessing: {named(list(map(frame.short_name, idle)))}."] if some else []
    if silent:
        layers = f"Neuron layers that never fire: in {named(list(map(frame.short_name, silent)))}"
        said.append(f"{layers}; what they take little of may be low for that.")
    return [" ".join(said)] if said else []


def named(names: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED} more" if len(names) > NAMED else "")
