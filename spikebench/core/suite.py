"""A suite file, read, checked and expanded into cells and jobs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from spikebench.core.cells import Cell, Job, Weights
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem
from spikebench.core.own_files import OwnFiles
from spikebench.core.recipes import Recipe
from spikebench.core.registry import REGISTRIES
from spikebench.core.search import Search
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.core.yaml_nodes import Document


class Rules(Protocol):
    """What a suite asks of the floors above while it is checked; handed in, since core imports nothing of them."""

    def check(self, spec: VariantSpec, inputs: InputSpec) -> Sequence[Problem]:
        """Every reason why this network cannot exist."""

    def resolve(self, spec: VariantSpec, inputs: InputSpec) -> VariantSpec:
        """Each ``auto`` replaced by what it means for this input, so that equal networks have equal ids."""

    def settled(self, stage: Choice, spec: VariantSpec, device: str) -> Choice:
        """A training stage with each ``auto`` that this machine decides replaced by what it means for this network here."""

    def pretraining(self, spec: VariantSpec, inputs: InputSpec, options: Any) -> Sequence[Problem]:
        """Every reason why this network cannot be pre-trained so, and fine-tuned afterwards; keys are options, or fields."""

    def pretrained(self, path: Path, spec: VariantSpec, inputs: InputSpec) -> str:
        """Why a network cannot start from this pre-trained one; "" if it can."""

    def foreign(self, path: Path, layout: str, num_heads: int | None, ema: bool) -> tuple[VariantSpec, InputSpec]:
        """The network and the input of somebody else's checkpoint; raises InputError if it is not of that layout."""

    def quirks(self, layout: str, asked: str) -> str:
        """The names of the released code's faults that are asked for, with commas; ``none``; "" where the layout has none known.
        Raises InputError for one that it has not."""

    def device(self, name: str) -> Sequence[Problem]:
        """Why nothing can run on ``cuda`` here; empty if it can."""

    def profile(self, path: Path) -> Sequence[Problem]:
        """What is wrong with an energy profile of one's own; the problems name its file and line."""

    def chip(self, path: Path) -> Sequence[Problem]:
        """What is wrong with a chip of one's own; the problems name its file and line."""

    def tolerances(self, check: Mapping[str, Any]) -> Sequence[Problem]:
        """What is wrong with a ``check:`` block; keys are ``check.SELECTOR``."""

    def baseline(self, wanted: Mapping[str, Any], cells: Sequence[Cell], recipes: Sequence[str]) -> Sequence[Problem]:
        """Why ``report.baseline`` is not one of these cells; keys are its factors. ``recipes``: each one's name in the suite."""


@dataclasses.dataclass(frozen=True)
class Suite:
    """A checked suite. ``data`` is the file's content as plain data; ``variants`` its expanded grid, in the file's order.
    ``job_timeout`` and ``stall``: seconds. ``own``: the files that its own components are in; whoever works on another process's
    suite must ``use`` them."""

    name: str
    question: str
    dataset: Choice
    variants: tuple[VariantSpec, ...]
    seeds: tuple[int, ...]
    training: Choice | None
    pretraining: Choice | None
    weights: Weights | None
    measure: tuple[Choice, ...]
    energy: tuple[str, ...]
    chips: tuple[str, ...]
    report: Mapping[str, Any]
    check: Mapping[str, Any]
    search: Search | None
    launcher: Choice
    job_timeout: float | None
    stall: float | None
    device: str
    data: Mapping[str, Any]
    document: Document = dataclasses.field(compare=False, repr=False)
    listed_recipes: tuple[Recipe, ...] = ()
    own: OwnFiles = OwnFiles()
    rules: Rules | None = dataclasses.field(default=None, compare=False, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        # The rules are of the process that has them; cells that were asked for there go along.
        return {**self.__dict__, "rules": None}

    @cached_property
    def inputs(self) -> InputSpec:
        return inputs_of(self.dataset)

    def cell(self, variant: VariantSpec, seed: int, training: Choice | None = None) -> Cell:
        """One cell; ``training`` replaces the suite's own (a search varies it)."""
        return self._cell(variant, seed, Recipe(self.pretraining, training or self.training))

    def _cell(self, variant: VariantSpec, seed: int, recipe: Recipe) -> Cell:
        training, pretraining = (self._settled(stage, variant) for stage in (self._asked(recipe.training), recipe.stored))
        return Cell(recipe.positioned(variant), self.dataset, training, seed, pretraining, self.weights)

    def _asked(self, training: Choice | None) -> Choice | None:
        """A training with what measurements ask of it: their options may have a ``training``, options of it by name."""
        if training is None:
            return None
        asked = [getattr(harness.resolve("harnesses"), "training", {}) for harness in self.measure]
        return Choice(training.name, {**training.options, **{name: value for one in asked for name, value in one.items()}})

    def _settled(self, stage: Choice | None, variant: VariantSpec) -> Choice | None:
        return stage if stage is None or self.rules is None else self.rules.settled(stage, variant, self.device)

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Every variant with every seed, without repeats. Seeds run inside variants: early results cover all variants."""
        first = [self._cell(variant, self.seeds[0], recipe) for recipe in self.recipes for variant in self.variants]
        cells = (cell.with_seed(seed) for seed in self.seeds for cell in first)
        return tuple({cell.cell_id: cell for cell in cells}.values())

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """How each variant is trained: in the ways that the suite lists, or in its one way."""
        return self.listed_recipes or (Recipe(self.pretraining, self.training),)

    def jobs(self, cell: Cell, device: str) -> tuple[Job, ...]:
        """What is done to one cell, in order: pre-training and training first, then what measures.

        A pre-training is the job of a cell of its own, the same for all that share it.
        """
        before, harnesses = cell.pretraining_cell, [*([] if cell.training is None else [cell.training]), *self.measure]
        jobs = [] if before is None or before.pretraining is None else [Job(before, before.pretraining, device)]
        return tuple({job.job_id: job for job in (*jobs, *(Job(cell, harness, device) for harness in harnesses))}.values())


def dataset_of(choice: Choice) -> Any:
    """The data set that ``choice`` names. Raises InputError for wrong options, and for a plugin that names no inputs."""
    found = REGISTRIES["datasets"].get(choice.name)(choice.resolve("datasets"))
    if not isinstance(getattr(found, "inputs", None), InputSpec):
        origin = REGISTRIES["datasets"].origin(choice.name)
        raise InputError(
            f"the data set {choice.name!r} of {origin} has no `inputs` (an InputSpec), so no network can be built for it"
        )
    return found


def settled(choice: Choice, folder: Path) -> Choice:
    """A data set of the user's files as this suite means it: where they lie, seen from ``folder``, and what they hold.

    Raises InputError, with the options at fault as keys, if the files are not what they must be.
    """
    found = REGISTRIES["datasets"].get(choice.name)(choice.resolve("datasets"))
    options = found.settle(folder) if hasattr(found, "settle") else {}
    return Choice(choice.name, {**choice.options, **options}) if options else choice


def inputs_of(dataset: Choice) -> InputSpec:
    """The input shape of a data set with its options. Raises InputError as ``dataset_of``."""
    spec: InputSpec = dataset_of(dataset).inputs
    return spec


def samples_of(dataset: Choice, split: str) -> int | None:
    """How many samples a split has; None where the data set cannot tell without reading files (it has no ``sizes``)."""
    sizes: Mapping[str, int] = getattr(dataset_of(dataset), "sizes", None) or {}
    return sizes.get(split)
