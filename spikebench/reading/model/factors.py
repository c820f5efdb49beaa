"""What distinguishes one cell from another: its JSON as flat columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem, nearest
from spikebench.core.records import spell
from spikebench.core.text import shorten
from spikebench.core.variant import COMPONENTS, VariantSpec

Factor = str | int | float | bool | None
VARIANT_FIELDS = tuple(VariantSpec.__dataclass_fields__)
VERSION = ".version"
"""End of the factor of a component's version, of one whose meaning was changed."""
NO_MEANING = "–"
"""Stands for a variant field that the family takes none of, as somebody's own ``make(inputs)``: its cells do not have it."""
RECIPE = "recipe"
"""Factor of a suite's own name for how a cell is trained."""
STAGES = {"training": "train", "pretraining": "pretrain"}
"""Parts of a cell that hold a harness's options, and the prefix of their factors."""


def flatten(cell: Mapping[str, Any]) -> dict[str, Factor]:
    """The factors of a cell as stored: variant fields, ``dataset``, ``train.lr`` and the like, ``weights``, ``seed``.

    A component with options reads ``ssa(order=kv_first)``. An option that a suite leaves out is at its default and has no
    entry; a stage that does not happen is ``train: none``.
    """
    flat: dict[str, Factor] = {}
    variant = cell.get("variant", {})
    for field in VARIANT_FIELDS:
        if field in variant:
            flat[field] = str(Choice.parse(variant[field])) if field in COMPONENTS else variant[field]
    flat |= {f"{field}{VERSION}": version for field, version in dict(cell.get("versions") or {}).items()}
    if cell.get("dataset") is not None:
        flat["dataset"] = str(Choice.parse(cell["dataset"]))
    for part, prefix in STAGES.items():
        if cell.get(part) is None:
            flat[prefix] = "none"
        else:
            choice = Choice.parse(cell[part])
            flat[prefix] = choice.name
            flat |= {f"{prefix}.{name}": _scalar(value) for name, value in choice.options.items()}
    if cell.get("weights"):
        given = cell["weights"]
        quirks = f" quirks={given['quirks']}" if given.get("quirks") else ""
        flat["weights"] = f"{given.get('layout')}:{str(given.get('sha256'))[:8]}{quirks}"
    if "seed" in cell:
        flat["seed"] = cell["seed"]
    return flat


def differing(rows: Sequence[Mapping[str, Factor]]) -> list[str]:
    """The factors, seed apart, that are not the same in all rows; variant fields come first, in their own order.

    A variant field differs by its values alone: that a family takes none of it says the family. Of training and pre-training
    there is nothing but the recipe where all rows have one.
    """
    names = list(dict.fromkeys(name for row in rows for name in row))
    order = [*VARIANT_FIELDS, "dataset"]
    names.sort(key=lambda name: order.index(name) if name in order else len(order))

    def values(name: str) -> set[str]:
        return {repr(row.get(name)) for row in rows if name in row or name not in VARIANT_FIELDS}

    # What a recipe's name says already is not said again.
    said = tuple(STAGES.values()) if rows and all(RECIPE in row for row in rows) else ()
    return [name for name in names if name != "seed" and name.partition(".")[0] not in said and len(values(name)) > 1]


def with_recipes(
    rows: Mapping[str, dict[str, Factor]], recipes: Mapping[str, Mapping[str, Factor]]
) -> dict[str, dict[str, Factor]]:
    """Cells with the name of the recipe that each was trained by; ``recipes``: name -> the factors in which these differ.

    All of them or none: a cell that fits no recipe, or several (``auto`` came to what another one says), has to be told apart by
    its options.
    """
    names = {
        key: [name for name, own in recipes.items() if all(row.get(k) == v for k, v in own.items())] for key, row in rows.items()
    }
    if any(len(fitting) != 1 for fitting in names.values()):
        return dict(rows)
    return {key: {**row, RECIPE: names[key][0]} for key, row in rows.items()}


def shown(row: Mapping[str, Factor], shorter: Mapping[str, Mapping[Factor, Factor]]) -> dict[str, Factor]:
    """A row as tables show it. ``shorter``: see ``compact``."""
    without = dict.fromkeys(VARIANT_FIELDS, NO_MEANING) if "family" in row else {}
    return {**without, **{name: shorter.get(name, {}).get(value, value) for name, value in row.items()}}


def compact(rows: Sequence[Mapping[str, Factor]]) -> dict[str, dict[Factor, Factor]]:
    """factor -> value -> how to show it: options that all values of a component share are left out, since they tell nothing."""
    found: dict[str, dict[Factor, Factor]] = {}
    for name in COMPONENTS:
        values = {str(row[name]) for row in rows if name in row}
        if len(values) > 1 and len({value.partition("(")[2] for value in values}) == 1:
            found[name] = {value: value.partition("(")[0] for value in values}
    return found


def find(wanted: Mapping[str, Any], rows: Mapping[str, Mapping[str, Factor]]) -> str | None:
    """The key of the one row that has these factors; None if ``wanted`` is empty.

    A component may be named without its options. Raises InputError for a factor or a value that no row has, naming the nearest,
    and if no row or several fit, naming them; keys are factors.
    """
    if not wanted:
        return None
    known = {name for row in rows.values() for name in row} - {"seed"}
    unknown = [problem for name, value in wanted.items() for problem in _unknown(name, value, known, list(rows.values()))]
    if unknown and rows:
        raise InputError(unknown)
    fitting = [key for key, row in rows.items() if all(_fits(row, name, value, exact=False) for name, value in wanted.items())]
    if len(fitting) > 1:
        exact = [key for key in fitting if all(_fits(rows[key], name, value, exact=True) for name, value in wanted.items())]
        fitting = exact or fitting
    if len(fitting) == 1:
        return fitting[0]
    spelled = ", ".join(f"{name}: {value}" for name, value in wanted.items())
    varying = differing(list(rows.values()))
    listing = "; ".join(name_of(rows[key], varying) for key in (fitting or list(rows))[:12])
    raise InputError(f"{{{spelled}}} must fit one variant, but fits {len(fitting)}: {listing}")


def _unknown(name: str, value: Any, known: set[str], rows: Sequence[Mapping[str, Factor]]) -> Iterator[Problem]:
    full = name if name in known or f"train.{name}" not in known else f"train.{name}"
    if full not in known:
        yield Problem(f"unknown factor {name!r}{nearest(name, known)}", key=name)
    elif not any(_fits(row, name, value, exact=False) for row in rows):
        values = dict.fromkeys(show(row.get(full)) for row in rows)
        yield Problem(f"no variant has {name} {shorten(value)}{nearest(value, values)}", key=name)


def name_of(row: Mapping[str, Factor], names: Iterable[str]) -> str:
    """A short name of a row by the given factors: ``stem=sps attention=ssa``."""
    words = (f"{name}={show(row.get(name))}" for name in names if row.get(name) != NO_MEANING)
    return " ".join(words) or show(row.get("dataset"))


def show(value: Factor) -> str:
    """A factor as a table prints it; one that a suite left out is at its default."""
    if value is None:
        return "default"
    return f"{value:g}" if isinstance(value, float) else spell(value)


def spelled_component(name: str, value: Any) -> Any:
    """A value as a suite writes it, spelled as ``flatten`` does: components become ``ssa(order=kv_first)``."""
    return str(Choice.parse(value)) if name in COMPONENTS or name == "dataset" else value


def _fits(row: Mapping[str, Factor], name: str, value: Any, exact: bool) -> bool:
    have = row.get(name, row.get(f"train.{name}"))
    if name in COMPONENTS or name == "dataset":
        want = spelled_component(name, value)
        return have == want or (not exact and str(have).partition("(")[0] == want)
    return bool(have == value)


def _scalar(value: Any) -> Factor:
    return value if value is None or isinstance(value, (str, int, float, bool)) else str(value)
