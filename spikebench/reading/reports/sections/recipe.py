"""How it was trained, where that is a paper's recipe or a batch comes in parts: every setting, and the effective batch size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from spikebench.core.choice import Choice, plain
from spikebench.core.errors import InputError
from spikebench.core.recipe_files import based_on, effective_batch
from spikebench.reading.model.frame import Frame
from spikebench.reading.reports.document import Block, Column, Label, Row, Table

HEADS = (("setting", "setting"), ("value", "value"), ("where", "where"))


class Section:
    """A table for each way to train; what stands at its default is left out."""

    order = 66
    title = "Recipe"
    trials = True

    def __call__(self, frame: Frame) -> Sequence[Block]:
        ways: dict[str, list[str]] = {}
        options: dict[str, Mapping[str, Any]] = {}
        for cell in frame.cells.values():
            found = _training(cell)
            if found is not None and cell["group_id"] in frame.groups:
                key = str(sorted(found.items()))
                options[key] = found
                names = ways.setdefault(key, [])
                if frame.short_name(cell["group_id"]) not in names:
                    names.append(frame.short_name(cell["group_id"]))
        return [
            table
            for number, (key, names) in enumerate(ways.items(), 1)
            if (table := _table(f"recipe-{number}", options[key], names if len(ways) > 1 else []))
        ]


def _training(cell: Mapping[str, Any]) -> dict[str, Any] | None:
    """Its settings with what is not at its default; None where there are none, or none that this version understands."""
    if not cell.get("training"):
        return None
    try:
        return Choice.parse(cell["training"]).canonical("harnesses")
    except InputError:
        return None


def _table(name: str, options: Mapping[str, Any], groups: Sequence[str]) -> Table | None:
    given = {field: value for field, value in options.items() if field != "name"}
    recipe = based_on(given)
    resolved = Choice("train", given).resolve("harnesses")
    if recipe is None and resolved.accumulate == 1:
        return None
    rows = [("effective batch", effective_batch(resolved.batch_size, resolved.accumulate), "")]
    if recipe is not None:
        file, changed = recipe
        rows.insert(0, ("recipe", file.name, f"but for {', '.join(changed)}" if changed else "unchanged"))
        given = {**dict.fromkeys(changed), **given, **{field: plain(getattr(resolved, field)) for field in changed}}
    for field, value in given.items():
        where = ""
        if recipe is not None:
            where = "changed here" if field in recipe[1] else "not read in the source" if field in recipe[0].unverified else ""
        rows.append((field, str(value), where))
    heads = tuple(Column(key, heading, numeric=False) for key, heading in HEADS)
    caption = "How it was trained" + (f": {', '.join(groups)}" if groups else "")
    return Table(name, caption, heads, tuple(Row(tuple(map(Label, row))) for row in rows), labels=1)
