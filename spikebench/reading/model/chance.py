"""Networks that learned nothing: an accuracy that guessing reaches too, and neuron layers that never fire."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.records import Record
from spikebench.core.suite import inputs_of, samples_of
from spikebench.derived.statistics import mean_interval, wilson
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.splits_read import Splits, inputs_read, splits_read

MOST = 3
"""Layers that a sentence names."""
OF_CLASSES = ("accuracy", "epoch_accuracy", "knn_accuracy", "probe_accuracy")
"""Fractions of right answers, which guessing reaches too."""


class Signs:
    """What must be said of the networks of a frame, in sentences; "" where there is nothing to say."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def chance(self, records: Sequence[Record], low: float | None = None) -> str:
        """Of an accuracy whose 95 % interval over ``records`` begins at 1/classes or below.

        ``low``: where the interval begins that a table prints. Without, over several seeds it is the t interval, of one seed
        Wilson's over its samples; a validation accuracy is stored without them and counts as so many as its split has. Where no
        interval can be had, it is the value itself.
        """
        known = [record for record in records if record.value is not None]
        facts = {self._of_dataset(self.frame.cells.get(record.cell_id, {}).get("dataset")) for record in known}
        if len(facts) != 1:  # no values, or of data sets that cannot be compared
            return ""
        ((classes, validation),) = facts
        if classes is None:
            return ""
        values = [float(record.value) for record in known if record.value is not None]
        n = len(known[0].samples or ()) or (validation if known[0].metric == "epoch_accuracy" else None)
        if low is None and len(values) > 1:
            low = mean_interval(values).low
        elif low is None:
            low = values[0] if not n else wilson(round(values[0] * n), n).low
        if low is not None and low > 1 / classes:
            return ""
        chance = f"{100 / classes:.3g} %, as guessing among {classes} classes"
        return f"No better than chance: the 95 % interval reaches down to {chance}."

    def silent(self, cells: Iterable[str]) -> str:
        """Of neuron layers that never fire in these cells."""
        rates: dict[str, list[float]] = {}
        for cell_id in cells:
            for scope, rate in self._rates.get(cell_id, {}).items():
                rates.setdefault(scope, []).append(rate)
        silent = [scope for scope, found in rates.items() if 0.0 in found]
        if not silent:
            return ""
        seeds = "" if all(not any(rates[scope]) for scope in silent) else " with some seed"
        more = f" and {len(silent) - MOST} more" if len(silent) > MOST else ""
        layers = "Neuron layers that never fire" if len(silent) > 1 else "A neuron layer that never fires"
        return f"{layers}{seeds}: {', '.join(silent[:MOST])}{more}; nothing passes there."

    def trial(self, cell_id: str) -> str:
        """Of a search's trial: chance on the validation split after its last epoch, and silent layers."""
        last = self._last_epoch.get(cell_id)
        return " ".join(filter(None, ["" if last is None else self.chance([last]), self.silent([cell_id])]))

    def _of_dataset(self, dataset: Any) -> tuple[int | None, int | None]:
        """(classes, samples of the validation split), by the jobs that read them where the data set itself is not here."""
        classes, validation = _of_dataset(_spelled(dataset))
        if classes is not None or dataset is None:
            return classes, validation
        splits = self._read.get(json.dumps(dataset, sort_keys=True), {})
        inputs = inputs_read(splits)
        return (None, None) if inputs is None else (inputs.classes, splits.get("validation", {}).get("samples"))

    @cached_property
    def _read(self) -> Mapping[str, Splits]:
        return splits_read(self.frame)

    @cached_property
    def _rates(self) -> dict[str, dict[str, float]]:
        """cell_id -> neuron layer -> firing rate over all steps."""
        found: dict[str, dict[str, float]] = {}
        for record in self.frame.by_metric.get("firing_rate", ()):
            if record.scope and "t" not in record.conditions and record.value is not None:
                found.setdefault(record.cell_id, {})[record.scope] = float(record.value)
        return found

    @cached_property
    def _last_epoch(self) -> dict[str, Record]:
        """cell_id -> its validation accuracy after the last epoch."""
        found: dict[str, Record] = {}
        for record in self.frame.by_metric.get("epoch_accuracy", ()):
            before = found.get(record.cell_id)
            if before is None or int(record.conditions.get("epoch", 0)) >= int(before.conditions.get("epoch", 0)):
                found[record.cell_id] = record
        return found


def _spelled(dataset: Any) -> Choice | None:
    try:
        return None if dataset is None else Choice.parse(dataset)
    except InputError:
        return None


@cache
def _of_dataset(choice: Choice | None) -> tuple[int | None, int | None]:
    """(classes, samples of the validation split)"""
    try:
        return (None, None) if choice is None else (inputs_of(choice).classes, samples_of(choice, "validation"))
    except InputError:
        return None, None
