"""What a report needs to know of the suite that was run. The suite was checked when it ran: here its shape alone is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

from spikebench.core import recipes, yaml_nodes
from spikebench.core.errors import InputError
from spikebench.core.shapes import is_plain
from spikebench.reading.model.factors import RECIPE, Factor, flatten, spelled_component


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
    recipes: Mapping[str, Mapping[str, Factor]] = dataclasses.field(default_factory=dict)
    """name -> the factors of training and pre-training in which the suite's recipes differ."""

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
            recipes=_recipes(document, part(dict, "recipes", default={})),
        )

    @property
    def asked(self) -> list[tuple[str, str]]:
        """What is to be derived: (``profiles`` or ``chips``, its name or path)."""
        return [*(("profiles", name) for name in self.energy), *(("chips", name) for name in self.chips)]

    def rank(self, factor: str, value: Any) -> int:
        """Where a factor's value stands in the suite's grid, so that tables keep the author's order; absent ones come last."""
        values = list(self.recipes) if factor == RECIPE else [spelled_component(factor, x) for x in self.grid.get(factor, ())]
        bare = value.partition("(")[0] if isinstance(value, str) else value
        return next((values.index(known) for known in (value, bare) if known in values), len(values))


def _recipes(document: yaml_nodes.Document, blocks: Mapping[str, Any]) -> dict[str, dict[str, Factor]]:
    suite: dict[str, Any] = document.data
    rows: dict[str, dict[str, Factor]] = {}
    for name, block in blocks.items():
        try:
            one = SimpleNamespace(pretrain=block.get("pretrain"), train=block.get("train"))
            recipe = recipes.read(suite.get("pretrain", "none"), suite.get("train", {}), {name: one})[1].recipe
            stages = {"training": recipe.training, "pretraining": recipe.stored}
            rows[name] = flatten({part: choice and choice.to_plain() for part, choice in stages.items()})
        except (AttributeError, InputError, TypeError, ValueError) as error:
            raise InputError(document.problem(("recipes", name), "damaged: no recipe")) from error
    names = dict.fromkeys(factor for row in rows.values() for factor in row)
    varying = [factor for factor in names if len({repr(row.get(factor)) for row in rows.values()}) > 1]
    return {name: {factor: row.get(factor) for factor in varying} for name, row in rows.items()}


DEFAULT_ENERGY = ("spikformer-paper",)
"""As in the suite file's own default."""
