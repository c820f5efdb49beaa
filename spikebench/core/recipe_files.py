"""The papers' recipes, a YAML file each: options of ``train``, their source, and where paper, code and configuration disagree."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from spikebench.core.choice import Choice, plain
from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.core.text import shorten
from spikebench.core.yaml_nodes import read

KEY = "recipe"
"""Beside options of ``train``: the recipe whose options hold where none is given."""


@dataclasses.dataclass(frozen=True)
class RecipeFile:
    """``train``: its options. ``unverified``: those of them that were not read in the source. ``notes``: a sentence each."""

    name: str
    source: str
    train: Mapping[str, Any]
    notes: Sequence[str] = ()
    unverified: Sequence[str] = ()


def recipe_file(name: Any) -> RecipeFile:
    """Raises InputError for an unknown name, naming the nearest, and for what is no name."""
    if not isinstance(name, str):
        raise InputError(f"expected the name of a recipe, got {shorten(name)}")
    return RecipeFile(name, **read(REGISTRIES["recipes"].get(name)).data)


def spelled_out(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options of ``train`` with those of their ``recipe`` under them, and without that word. Raises InputError as above."""
    given = dict(options)
    if KEY not in given:
        return given
    return {**recipe_file(given.pop(KEY)).train, **given}


def effective_batch(batch_size: int, accumulate: int = 1) -> str:
    """How many samples a step has, and how they go through the network: ``192 = 8 passes of 24``."""
    if accumulate == 1:
        return f"{batch_size:,}"
    whole, rest = divmod(batch_size, accumulate)
    return f"{batch_size:,} = {accumulate} passes of {whole}" + (f" or {whole + 1}" if rest else "")


def based_on(options: Mapping[str, Any]) -> tuple[RecipeFile, list[str]] | None:
    """The recipe that options of ``train`` are nearest to, and the names of those that differ; None where none is near."""
    found = []
    for name in REGISTRIES["recipes"]:
        recipe = recipe_file(name)
        given, theirs = (Choice("train", dict(one)).canonical("harnesses") for one in (options, recipe.train))
        fields = sorted({*given, *theirs})
        found.append((recipe, [field for field in fields if plain(given.get(field)) != plain(theirs.get(field))]))
    recipe, changed = min(found, key=lambda one: len(one[1]))
    return (recipe, changed) if len(changed) <= len(recipe.train) // 3 else None
