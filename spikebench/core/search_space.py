"""The ``space:`` of a search: which fields of a cell vary, over which values, and which exist only for another's choice.

.. code-block:: yaml

    space:
      depth: {int: [1, 4]}                                    # both ends included; `step: 2`, `log: true`
      mlp_ratio: {float: [1.0, 4.0], step: 0.5}
      attention: {choice: [ssa, softmax]}                     # values are written as in a grid
      attention.order: {choice: [qk_first, kv_first], when: {attention: ssa}}
      lr: {float: [1.0e-4, 1.0e-2], log: true}                # a field of `train`; `train.lr` is the same

A name is a VariantSpec field, ``preset``, an option of a component (``attention.order``), or a field of ``train``. ``when`` names
another parameter and the value, or the list of values, for which this one exists; without it the parameter always does.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from spikebench.core.cells import Cell
from spikebench.core.choice import Choice, plain
from spikebench.core.errors import InputError
from spikebench.core.grid import combine
from spikebench.core.variant import COMPONENTS, VariantSpec

Category = str | int | float | bool
Values = Mapping[str, Category]
"""Parameter name -> value, of those parameters that exist in a trial; components with options by their label."""


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One thing that varies. ``name``: a field of ``train`` goes without ``train.``, however the suite spells it.

    ``kind`` ``int`` and ``float`` go from ``low`` to ``high``, both included; ``choice`` takes one of ``choices``, as the suite
    spells them. ``when``: parameter -> labels of the values for which this one exists.
    """

    name: str
    kind: Literal["int", "float", "choice"]
    low: float = 0.0
    high: float = 0.0
    step: float | None = None
    log: bool = False
    choices: tuple[Any, ...] = ()
    when: Mapping[str, tuple[Category, ...]] = dataclasses.field(default_factory=dict)

    @property
    def labels(self) -> tuple[Category, ...]:
        """The choices as a study stores them."""
        return tuple(label_of(choice) for choice in self.choices)

    def exists(self, values: Values) -> bool:
        """Whether a trial with these values of the earlier parameters has this one."""
        return all(name in values and values[name] in allowed for name, allowed in self.when.items())

    def decode(self, value: Category) -> Any:
        """From what a study stores to what a suite would say."""
        return self.choices[self.labels.index(value)] if self.kind == "choice" else value

    def finite(self) -> tuple[Category, ...] | None:
        """All values; None if there are infinitely many."""
        if self.kind == "choice":
            return self.labels
        if self.kind == "int":
            return tuple(range(int(self.low), int(self.high) + 1, int(self.step or 1)))
        if self.step is None:
            return None
        count = math.floor((self.high - self.low) / self.step + 1e-9) + 1
        return tuple(self.low + index * self.step for index in range(count))

    def encode(self, value: Any) -> Category | None:
        """What a study stores for a suite's own value (a component, a number); None if the range does not have it.

        A component fits the choice of its name whose options it has, whatever other options it has beside.
        """
        if isinstance(value, Choice):
            return next((label_of(choice) for choice in self.choices if _is_part(Choice.parse(choice), value)), None)
        if self.kind == "choice":
            return label_of(value) if label_of(value) in self.labels else None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not self.low <= value <= self.high:
            return None
        known = self.finite()
        return value if known is None else next((other for other in known if math.isclose(value, other)), None)  # type: ignore[arg-type]

    def to_plain(self) -> dict[str, Any]:
        """The parameter as a suite would write it; what makes one space another."""
        if self.kind == "choice":
            domain: dict[str, Any] = {"choice": plain(self.choices)}
        else:
            number = int if self.kind == "int" else float
            domain = {self.kind: [number(self.low), number(self.high)]}
            domain |= {"step": number(self.step)} if self.step is not None else {}
            domain |= {"log": True} if self.log else {}
        return domain | ({"when": {name: list(allowed) for name, allowed in self.when.items()}} if self.when else {})


@dataclasses.dataclass(frozen=True)
class Space:
    """All parameters, in an order in which each comes after those that its ``when`` names, and the fields that they change."""

    parameters: tuple[Parameter, ...]
    base: Mapping[str, Any]

    def variant(self, values: Values) -> VariantSpec:
        """The network of a trial. Raises InputError where a value cannot be (an option that the chosen component lacks)."""
        return combine(self.base, {name: value for name, value in self._chosen(values) if not is_training(name)})

    def training(self, values: Values, suite_training: Choice | None) -> Choice | None:
        """The training of a trial: the suite's own with the searched fields replaced."""
        chosen = {name: value for name, value in self._chosen(values) if is_training(name)}
        if suite_training is None or not chosen:
            return suite_training
        return Choice(suite_training.name, {**suite_training.options, **chosen})

    def values_of(self, cell: Cell) -> Values | None:
        """Values that should give this cell; None if it lies outside of the space.

        Fields that the space leaves alone are not compared: make the cell of these values and compare its id.
        """
        found: dict[str, Category] = {}
        for parameter in self.parameters:
            if parameter.exists(found):
                value = parameter.encode(_value_in(cell, parameter.name))
                if value is None:
                    return None
                found[parameter.name] = value
        return found

    def points(self) -> Iterator[Values]:
        """Every combination once, in the file's order; a parameter that does not exist adds none. All must be finite."""

        def extend(values: dict[str, Category], rest: Sequence[Parameter]) -> Iterator[Values]:
            if not rest:
                yield values
            elif not rest[0].exists(values):
                yield from extend(values, rest[1:])
            else:
                for value in rest[0].finite() or ():
                    yield from extend({**values, rest[0].name: value}, rest[1:])

        return extend({}, self.parameters)

    def to_plain(self) -> dict[str, Any]:
        return {parameter.name: parameter.to_plain() for parameter in self.parameters}

    def _chosen(self, values: Values) -> Iterator[tuple[str, Any]]:
        for parameter in self.parameters:
            if parameter.name in values:
                yield parameter.name, parameter.decode(values[parameter.name])


def is_training(name: str) -> bool:
    """Whether a parameter changes the training, not the network."""
    return name != "preset" and name.split(".")[0] not in VariantSpec.__dataclass_fields__


def label_of(value: Any) -> Category:
    """A value as one word or number: components with options become ``ssa(order=kv_first)``."""
    value = plain(value)
    if isinstance(value, (str, int, float, bool)):
        return value
    try:
        return str(Choice.parse(value))
    except InputError:
        return json.dumps(value)


def _is_part(choice: Choice, whole: Choice) -> bool:
    return choice.name == whole.name and all(
        plain(whole.options).get(name) == plain(value) for name, value in choice.options.items()
    )


def _value_in(cell: Cell, name: str) -> Any:
    if is_training(name):
        return None if cell.training is None else getattr(cell.training.resolve("harnesses"), name)
    field, dot, option = name.partition(".")
    value = getattr(cell.variant, field, None)
    if not dot:
        return value
    options = value.resolve(COMPONENTS[field]) if isinstance(value, Choice) else None
    return getattr(options, option, None)
