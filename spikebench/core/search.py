"""A suite's ``search:`` block, checked: what varies, what is wanted, what is forbidden, and how long to look."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem
from spikebench.core.metrics import Metric, metric
from spikebench.core.quantity import parse_quantity
from spikebench.core.records import Record, Selector
from spikebench.core.search_space import Space

ON_VALIDATION: Mapping[str, str] = {"accuracy": "epoch_accuracy"}
"""Metrics of the test split, and what a search looks at in their place: test is read once, for the winners."""


@dataclasses.dataclass(frozen=True)
class Quantity:
    """One number of a trial. ``text``: as the suite has it. ``metric``: the one that is read, on the validation split."""

    text: str
    selector: Selector
    metric: Metric

    @classmethod
    def parse(cls, text: str) -> Quantity:
        """Raises InputError for what is no selector, for an unknown metric, and for accuracy under conditions."""
        given = Selector.parse(text)
        metric(given.metric)
        if given.metric not in ON_VALIDATION:
            return cls(str(given), given, metric(given.metric))
        if given.conditions or given.scope:
            raise InputError(
                f"a search sees {given.metric} on the validation split after the last epoch, under no other condition"
            )
        return cls(str(given), Selector(ON_VALIDATION[given.metric]), metric(ON_VALIDATION[given.metric]))

    def find(self, records: Sequence[Record]) -> Record:
        """The one record of a cell that is meant; of a quantity with one value an epoch, the last epoch's.

        Raises InputError, listing what there is, if none or several match.
        """
        epochs = [record.conditions.get("epoch") for record in records if self.selector.matches(record)]
        if "epoch" not in self.selector.conditions and epochs and all(isinstance(epoch, int) for epoch in epochs):
            last = max(epochs)  # type: ignore[type-var]
            records = [record for record in records if record.conditions.get("epoch") in (None, last)]
        return self.selector.one(records)


@dataclasses.dataclass(frozen=True)
class Objective:
    """What is to become as high or as low as its metric wants it."""

    quantity: Quantity
    direction: Literal["higher", "lower"]

    @classmethod
    def parse(cls, text: str) -> Objective:
        """Raises InputError as Quantity.parse, and for a metric of which neither more nor less is better."""
        quantity = Quantity.parse(text)
        if quantity.metric.direction is None:
            raise InputError(f"{quantity.metric.name} cannot be an objective: neither more nor less of it is better")
        return cls(quantity, quantity.metric.direction)

    def __str__(self) -> str:
        return self.quantity.text

    @property
    def sign(self) -> int:
        """+1 if lower is better, -1 if higher is: sign x value is to be minimised."""
        return 1 if self.direction == "lower" else -1


_CONSTRAINT = re.compile(r"^(?P<selector>[^<>]*?)(?P<relation><=|>=)(?P<quantity>.*)$")


@dataclasses.dataclass(frozen=True)
class Constraint:
    """``parameters <= 2M``: a quantity that must not pass ``limit`` (in the metric's base unit)."""

    text: str
    quantity: Quantity
    relation: Literal["<=", ">="]
    limit: float

    @classmethod
    def parse(cls, text: str) -> Constraint:
        """Raises InputError for another form, an unknown metric, a missing unit or one of another quantity."""
        match = _CONSTRAINT.match(text)
        if match is None:
            raise InputError(f"expected METRIC <= NUMBER UNIT or METRIC >= NUMBER UNIT, got {text!r}")
        quantity = Quantity.parse(match["selector"])
        try:
            limit = parse_quantity(match["quantity"], quantity.metric.unit)
        except InputError as error:
            raise InputError(f"{quantity.selector.metric} {match['relation']}: {error}") from None
        return cls(" ".join(text.split()), quantity, "<=" if match["relation"] == "<=" else ">=", limit)

    def violation(self, value: float) -> float:
        """By which part of the limit ``value`` passes it; 0 or less if it does not."""
        distance = value - self.limit if self.relation == "<=" else self.limit - value
        return distance / (abs(self.limit) or 1.0)

    def __str__(self) -> str:
        return self.text


@dataclasses.dataclass(frozen=True)
class Search:
    """A checked ``search:`` block.

    ``timeout``: seconds after which no trial begins. ``seed``: of the sampler; trainings use the suite's first seed. ``storage``:
    URL of the server with the study; None: it is a file of the results folder.
    """

    space: Space
    objectives: tuple[Objective, ...]
    constraints: tuple[Constraint, ...]
    sampler: Choice
    pruner: Choice
    trials: int
    timeout: float | None
    seed: int
    storage: str | None = None

    @property
    def prunes(self) -> bool:
        return self.pruner.name != "none"

    def violations(self, records: Sequence[Record]) -> dict[str, float]:
        """Constraint -> by how much a cell passes it. Raises InputError where a record is missing, ambiguous or without value."""
        return {constraint.text: constraint.violation(value_of(constraint.quantity, records)) for constraint in self.constraints}

    def values(self, records: Sequence[Record]) -> list[float]:
        """A cell's objectives, in base units. Raises InputError as ``violations``."""
        return [value_of(objective.quantity, records) for objective in self.objectives]

    def identity(self) -> dict[str, Any]:
        """What makes it another study: the space and what is wanted; not how long or by which method it is searched."""
        return {
            "space": self.space.to_plain(),
            "objectives": [str(objective) for objective in self.objectives],
            "constraints": [str(constraint) for constraint in self.constraints],
        }


class NoValueError(InputError):
    """A cell has the record, but not the number: the trial fails with this reason."""


def value_of(quantity: Quantity, records: Sequence[Record]) -> float:
    """Raises InputError if no record matches or several do, NoValueError if it has no value."""
    record = quantity.find(records)
    if record.value is None:
        raise NoValueError(Problem(f"{quantity.text}: {record.reason}"))
    return float(record.value)


def quantities(search: Search) -> list[Quantity]:
    """All numbers that a trial must have."""
    return [objective.quantity for objective in search.objectives] + [constraint.quantity for constraint in search.constraints]
