"""How a suite trains its variants: in one way, or in several that it lists under ``recipes``."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem
from spikebench.core.recipe_files import KEY, recipe_file, spelled_out
from spikebench.core.variant import InputSpec, VariantSpec

KeyPath = tuple[str | int, ...]
Found = tuple[KeyPath, str]
"""Where something is wrong in the suite file, and what."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One way to train a variant: pre-training or none, then training or none."""

    pretraining: Choice | None
    training: Choice | None

    def positioned(self, variant: VariantSpec) -> VariantSpec:
        """The variant as this recipe trains it: one without a position embedding gets the pre-training's, and keeps it."""
        if self.pretraining is None or variant.position != VariantSpec().position:
            return variant
        return variant.replace(position=self.pretraining.resolve("harnesses").position)

    @property
    def stored(self) -> Choice | None:
        """The pre-training without its position embedding: that is the variant's by now."""
        if self.pretraining is None:
            return None
        options = {name: value for name, value in self.pretraining.options.items() if name != "position"}
        return Choice(self.pretraining.name, options)


@dataclasses.dataclass(frozen=True)
class Placed:
    """A recipe, its name in the suite ("" for the suite's own way), and the options that it sets itself."""

    name: str
    recipe: Recipe
    own: Mapping[str, Mapping[str, Any]]
    file: Any = None
    """The name of the file that ``train`` takes its options from; None without one."""

    def place(self, stage: str, option: str = "") -> KeyPath:
        """Where the suite says this: ``recipes.NAME.pretrain.mask_ratio``, or ``pretrain.mask_ratio``."""
        rest = (option,) if option else ()
        if self.name and (option in self.own[stage] or (not option and self.own[stage])):
            return ("recipes", self.name, stage, *rest)
        return (stage, *rest)


class Networks(Protocol):
    """What is asked of ``spikebench.networks`` here."""

    def pretraining(self, spec: VariantSpec, inputs: InputSpec, options: Any) -> Sequence[Problem]: ...


def read(pretrain: Any, train: Any, blocks: Mapping[str, Any]) -> list[Placed]:
    """The suite's own way first, then those that it lists; ``none`` is no stage, a mapping changes some options."""
    first = Recipe(_stage("pretrain", pretrain, None), _stage("train", train, None))
    found = [Placed("", first, {"pretrain": {}, "train": {}}, _file(train, None))]
    for name, block in blocks.items():
        own = {key: value if isinstance(value, Mapping) else {} for key, value in vars(block).items()}
        recipe = Recipe(_stage("pretrain", pretrain, block.pretrain), _stage("train", train, block.train))
        found.append(Placed(name, recipe, own, _file(train, block.train)))
    return found


def problems(placed: Sequence[Placed]) -> Iterator[Found]:
    """Recipes that are none, and options that are none or have values that cannot be."""
    for one in placed:
        try:
            inherited = {} if one.file is None else recipe_file(one.file).train
        except InputError as error:
            yield from ((one.place("train", KEY), problem.message) for problem in error.problems)
            continue
        for stage, choice in (("pretrain", one.recipe.pretraining), ("train", one.recipe.training)):
            try:
                if choice is not None:
                    choice.resolve("harnesses")
            except InputError as error:
                for problem in error.problems:
                    option = problem.key.split(".")[0]
                    given = {} if choice is None else choice.options
                    if stage == "train" and option in inherited and given[option] == inherited[option]:
                        yield one.place(stage, KEY), f"{problem.message} (as {one.file} has it)"
                    else:
                        yield one.place(stage, option), problem.message


def misfits(placed: Sequence[Placed], variants: Sequence[VariantSpec], inputs: InputSpec, networks: Networks) -> Iterator[Found]:
    """Variants that cannot be pre-trained as they shall be; a field of theirs is named in the message."""
    for one in placed:
        if one.recipe.pretraining is None:
            continue
        options = one.recipe.pretraining.resolve("harnesses")
        for variant in variants:
            try:
                found = networks.pretraining(one.recipe.positioned(variant), inputs, options)
            except InputError as error:
                found = error.problems
            for problem in found:
                option = problem.key if problem.key in type(options).__dataclass_fields__ else ""
                yield one.place("pretrain", option), problem.message if option else str(problem)


def _stage(name: str, given: Any, changes: Any) -> Choice | None:
    """A stage of a recipe: ``changes`` on top of the suite's own options; None leaves those as they are."""
    if changes == "none" or (changes is None and given in (None, "none")):
        return None
    options = _options(given, changes)
    try:
        return Choice(name, spelled_out(options) if name == "train" else options)
    except InputError:  # told by ``problems``
        return Choice(name)


def _file(given: Any, changes: Any) -> Any:
    return None if changes == "none" else _options(given, changes).get(KEY)


def _options(given: Any, changes: Any) -> dict[str, Any]:
    return {**(given if isinstance(given, Mapping) else {}), **(changes if isinstance(changes, Mapping) else {})}
