"""What a report needs to know of the suite that was run. The suite was checked when it ran: here its shape alone is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from spikebench.core import yaml_nodes
from spikebench.core.errors import InputError
from spikebench.core.shapes import is_plain
from spikebench.reading.model.factors import spelled_component


@dataclasses.dataclass(frozen=True)
class SuiteFacts:
    """Name, question and the parts of a suite that say how to read its results."""

    name: str = ""
    question: str = ""
    energy: Sequence[str] = ()
    chips: Sequence[str] = ()
    baseline: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    columns: Sequence[str] = ()
    formats: Sequence[str] = ("markdown", "csv")
    check: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    grid: Mapping[str, Sequence[Any]] = dataclasses.field(default_factory=dict)

    @classmethod
    def parse(cls, text: str | None, file: str = "suite.yaml") -> SuiteFacts:
        """From a results folder's ``suite.yaml``; without one (None) there is only the default reading.

        Raises InputError naming ``file`` and the key if the text is not a suite at all.
        """
        if text is None:
            return cls(energy=DEFAULT_ENERGY)
        document = yaml_nodes.parse(text, file)
        if not isinstance(document.data, dict):
            raise InputError(document.problem((), "damaged: expected a suite, got something that is no mapping"))

        def part(kind: type, *path: str, default: Any) -> Any:
            value: Any = document.data
            for length, key in enumerate(path, 1):
                value = value.get(key)
                if value is None:
                    return default
                if not isinstance(value, kind if length == len(path) else dict) or not is_plain(value):
                    raise InputError(document.problem(path[:length], f"damaged: a suite has no {type(value).__name__} here"))
            return value

        def texts(*path: str, default: Sequence[str]) -> tuple[str, ...]:
            values = part(list, *path, default=list(default))
            if not all(isinstance(value, str) for value in values):
                raise InputError(document.problem(path, "damaged: expected a list of words"))
            return tuple(values)

        grid = part(dict, "variants", "grid", default={})
        for name, values in grid.items():
            try:
                list(map(partial(spelled_component, name), values))
            except (InputError, TypeError) as error:
                problem = document.problem(("variants", "grid", name), f"damaged: {str(error).splitlines()[0]}")
                raise InputError(problem) from error
        return cls(
            name=part(str, "suite", default=""),
            question=part(str, "question", default=""),
            energy=texts("energy", default=DEFAULT_ENERGY),
            chips=texts("chips", default=()),
            baseline=part(dict, "report", "baseline", default={}),
            columns=texts("report", "columns", default=()),
            formats=texts("report", "formats", default=cls.formats),
            check=part(dict, "check", default={}),
            grid=grid,
        )

    @property
    def asked(self) -> list[tuple[str, str]]:
        """What is to be derived: (``profiles`` or ``chips``, its name or path)."""
        return [*(("profiles", name) for name in self.energy), *(("chips", name) for name in self.chips)]

    def rank(self, factor: str, value: Any) -> int:
        """Where a factor's value stands in the suite's grid, so that tables keep the author's order; absent ones come last."""
        values = [spelled_component(factor, item) for item in self.grid.get(factor, ())]
        bare = value.partition("(")[0] if isinstance(value, str) else value
        return next((values.index(known) for known in (value, bare) if known in values), len(values))


DEFAULT_ENERGY = ("spikformer-paper",)
"""As in the suite file's own default."""
