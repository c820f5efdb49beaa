"""What ``show --recipe`` prints: a paper's training field by field, what differs from the defaults, what is not certain."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from spikebench.core.choice import Choice, plain
from spikebench.core.console import standard_output
from spikebench.core.errors import InputError
from spikebench.core.recipe_files import effective_batch, recipe_file
from spikebench.core.registry import REGISTRIES
from spikebench.running.verbs._given import parse_changes


def show_recipe(name: str, changes: Sequence[str]) -> None:
    """``changes``: FIELD=VALUE, as a suite would override them. Raises InputError."""
    from rich.table import Table

    recipe = recipe_file(name)
    changed = parse_changes(changes)
    choice = Choice("train", {**recipe.train, **changed})
    try:
        options = choice.resolve("harnesses")
    except InputError as error:
        raise InputError([problem.within("--set") for problem in error.problems]) from None
    screen = standard_output()
    screen.print(REGISTRIES["recipes"].describe(name), style="bold")
    screen.print(f"from {recipe.source}")
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("train", "value", "default", ""):
        table.add_column(heading)
    for field in dataclasses.fields(options):
        value, default = plain(getattr(options, field.name)), plain(field.default)
        if value != default or field.name in choice.options:
            word = "changed" if field.name in changed else "not read in the source" if field.name in recipe.unverified else ""
            table.add_row(field.name, _word(value), _word(default), word)
    screen.print(table)
    screen.print(f"effective batch: {effective_batch(options.batch_size, options.accumulate)}; lr is taken as it stands")
    for note in recipe.notes:
        screen.print(f"- {note}")


def _word(value: object) -> str:
    return "none" if value is None else str(value)
