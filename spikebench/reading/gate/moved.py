"""Which counts of a pass's work moved between two versions: the cause of a slow-down, where it has one that can be counted."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from statistics import fmean

from spikebench.core.errors import NotComparableError
from spikebench.core.metrics import Metric
from spikebench.reading.gate.compare import Pair, pairs
from spikebench.reading.gate.timed import Key
from spikebench.reading.model.display import display_for
from spikebench.reading.model.frame import Frame

WORK = (
    "instructions", "kernel_launches", "aten_calls", "bytes_moved", "allocations", "peak_allocated", "saved_bytes"
)  # fmt: skip
"""Metrics that say how much a pass does, the nearest to its time first."""
NAMED = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Move:
    """One count of one cell on both sides; ``layer`` is the one that changed most, with its two values."""

    metric: Metric
    conditions: Mapping[str, str]
    old: float
    new: float
    layer: str = ""
    layer_values: tuple[float, float] = (0.0, 0.0)

    @property
    def change(self) -> float:
        """Relative to the old value; 0 within what repeats of the same code differ by."""
        if self.old == self.new or (self.old and abs(self.new / self.old - 1) <= self.metric.tolerance):
            return 0.0
        return self.new / self.old - 1 if self.old else math.inf

    def __str__(self) -> str:
        """``ATen calls 665 -> 701 (+5.4 %), most in blocks.0.attention (55 -> 91)``."""
        text = f"{self.metric.title} {_both(self.metric, self.old, self.new)} ({100 * self.change:+.3g} %)"
        return text + (f", most in {self.layer} ({_both(self.metric, *self.layer_values)})" if self.layer else "")


@dataclasses.dataclass(frozen=True)
class Work:
    """What both sides counted, by the group of a cell. ``reason``: why there is nothing, or not all."""

    moves: Mapping[str, Sequence[Move]] = dataclasses.field(default_factory=dict)
    reason: str = ""

    def behind(self, group_id: str, key: Key, slower: bool) -> str:
        """What moved the same way as the time, the largest change first; or that nothing did."""
        conditions = dict(key.conditions)
        known = [
            move
            for move in self.moves.get(group_id, ())
            if all(conditions.get(name, value) == value for name, value in move.conditions.items())
        ]
        if not known:
            return f"its work was not counted: {self.reason or 'there is no count of this way to run it'}"
        moved = [move for move in known if (move.change > 0 if slower else move.change < 0)]
        if not moved:
            return f"no count of its work moved with it ({', '.join(move.metric.title for move in known)} are equal)"
        chosen = sorted(moved, key=lambda move: WORK.index(move.metric.name))[:NAMED]
        return f"with it moved {'; '.join(map(str, chosen))}"


def work(old: Frame, new: Frame, reason: str = "") -> Work:
    """The counts of both sides' ``work`` and ``memory`` jobs side by side."""
    found: dict[str, list[Move]] = {}
    try:
        for pair in pairs(old, new):
            if pair.metric.name in WORK and pair.seeds:
                found.setdefault(pair.group_id, []).append(_move(pair))
    except NotComparableError as error:
        return Work({}, reason or str(error))
    return Work(found, reason)


def _move(pair: Pair) -> Move:
    before, after = (fmean(values.values()) for values in pair.values())
    layers = {
        scope: (_mean(old, pair.seeds), _mean(new, pair.seeds)) for scope, (old, new) in pair.layers.items() if scope
    }  # fmt: skip
    changed = {scope: values for scope, values in layers.items() if values[0] != values[1]}
    layer = max(changed, key=lambda scope: (changed[scope][1] - changed[scope][0]) * (1 if after >= before else -1), default="")
    return Move(pair.metric, dict(pair.conditions), before, after, layer, changed.get(layer, (0.0, 0.0)))


def _mean(records: Mapping[int, object], seeds: Sequence[int]) -> float:
    values = [getattr(records[seed], "value", None) or 0 for seed in seeds if seed in records]
    return fmean(values) if values else 0.0


def _both(metric: Metric, old: float, new: float) -> str:
    display = display_for(metric, [old, new])
    return f"{display.number(old)} -> {display.number(new)} {display.unit}".rstrip()
