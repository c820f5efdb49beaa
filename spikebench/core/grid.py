"""A suite's `variants:` block expanded into VariantSpecs."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from spikebench.core.choice import Choice, plain
from spikebench.core.errors import InputError, Problem, nearest
from spikebench.core.registry import REGISTRIES
from spikebench.core.text import shorten
from spikebench.core.variant import COMPONENTS, VariantSpec
from spikebench.core.yaml_nodes import KeyPath, read

Located = tuple[KeyPath, Problem]
Places = dict[str, KeyPath]
"""VariantSpec field -> where in the block its value was written; "" -> where the whole variant was."""


def preset(name: str) -> dict[str, Any]:
    """The fields of a preset, as plain data. Raises InputError naming the nearest preset."""
    path = REGISTRIES["presets"].get(name)
    return dict(read(path).data)


def expand(block: Any, max_cells: int, seeds: int) -> tuple[list[VariantSpec], list[Places], list[Located]]:
    """Every combination of the grid over the base, without those excluded.

    ``block``: a ``suite_file.VariantsBlock``. Returns the variants, where each of their fields was written, and the problems; a
    grid with problems gives those variants that are sound.
    """
    problems: list[Located] = []
    axes = _axes(block.grid, problems)
    problems += [problem for index, rule in enumerate(block.exclude) for problem in _rule_problems(rule, block.grid, index)]
    count = math.prod(len(values) for _, values in axes) * seeds
    if count > max_cells:
        sizes = " x ".join(f"{name} {len(values)}" for name, values in axes)
        message = (
            f"{count:,} cells ({sizes} x seeds {seeds}), more than max_cells = {max_cells:,}; raise max_cells if it is meant"
        )
        return [], [], [*problems, (("grid",), Problem(message))]
    base = base_fields(block.base, problems)
    if base is None:
        return [], [], problems
    variants: dict[VariantSpec, Places] = {}
    broken: set[str] = set()
    for indices in itertools.product(*(range(len(values)) for _, values in axes)):
        chosen = {name: values[index] for (name, values), index in zip(axes, indices, strict=True)}
        if any(_excluded(chosen, rule) for rule in block.exclude):
            continue
        places: Places = {"": ("base",)}
        places |= {name.split(".")[0]: ("grid", name, index) for (name, _), index in zip(axes, indices, strict=True)}
        try:
            variants.setdefault(combine(base, chosen), places)
        except InputError as error:
            for problem in error.problems:
                path = places.get(problem.key.split(".")[0], ("grid",) if chosen else ("base",))
                if str((path, problem)) not in broken:
                    broken.add(str((path, problem)))
                    problems.append((path, problem))
    if not variants and not problems:
        problems.append((("exclude",), Problem("every combination is excluded: the grid is empty")))
    return list(variants), list(variants.values()), problems


def _axes(grid: Mapping[str, list[Any]], problems: list[Located]) -> list[tuple[str, list[Any]]]:
    known = ["preset", *VariantSpec.__dataclass_fields__]
    axes = []
    for name, values in grid.items():
        field, dot, _ = name.partition(".")
        if field not in known or (dot and field not in COMPONENTS):
            message = f"unknown field {name!r}{nearest(field, known)}"
            problems.append((("grid", name), Problem(message)))
        elif not values:
            problems.append(
                (("grid", name), Problem("an empty list makes an empty grid: give at least one value, or drop the key"))
            )
        else:
            problems += [(("grid", name, i), Problem(message)) for i, message in repeated([_meant(name, v) for v in values])]
            axes.append((name, values))
    return axes


def repeated(values: Sequence[Any]) -> Iterator[tuple[int, str]]:
    """(index, message) of every value that stood in the list before; 1 and 1.0 are one value, 1 and true are two."""
    seen: set[str] = set()
    for index, value in enumerate(values):
        number = int(value) if isinstance(value, float) and value.is_integer() else value
        key = json.dumps(plain(number), sort_keys=True, default=str)
        if key in seen:
            yield index, f"{shorten(plain(value))} stands twice"
        seen.add(key)


def _meant(name: str, value: Any) -> Any:
    """A value of an axis such that two spellings of one are equal: ``ssa`` and ``{name: ssa}``, 1 and 1.0."""
    try:
        return Choice.parse(value) if name in COMPONENTS else value
    except InputError:
        return value


def base_fields(given: str | Mapping[str, Any], problems: list[Located]) -> dict[str, Any] | None:
    try:
        if isinstance(given, str):
            return {"preset": given, **preset(given)}
        fields = dict(given)
        start = preset(fields["preset"]) if "preset" in fields else {}
        merged = {**start, **fields}
        VariantSpec.from_mapping(_without_preset(merged))
        return merged
    except InputError as error:
        for problem in error.problems:
            path = ("base", *problem.key.split(".")) if problem.key and not isinstance(given, str) else ("base",)
            problems.append((path, problem))
        return None


def combine(base: Mapping[str, Any], chosen: Mapping[str, Any]) -> VariantSpec:
    """Base, then a preset of the grid, then whole fields, then single options, so that the narrower word wins."""
    fields = dict(base)
    if "preset" in chosen:
        try:
            fields |= preset(chosen["preset"])
        except InputError as error:
            raise InputError([problem.within("preset") for problem in error.problems]) from None
    fields |= {name: value for name, value in chosen.items() if "." not in name}
    for name, value in chosen.items():
        field, dot, option = name.partition(".")
        if dot:
            choice = Choice.parse(fields.get(field, VariantSpec.__dataclass_fields__[field].default))
            fields[field] = {"name": choice.name, **choice.options, option: value}
    return VariantSpec.from_mapping(_without_preset(fields))


def _without_preset(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name != "preset"}


def _excluded(chosen: Mapping[str, Any], rule: Mapping[str, Any]) -> bool:
    return bool(rule) and all(
        any(_meant(name, chosen.get(name)) == _meant(name, value) for value in _listed(values)) for name, values in rule.items()
    )


def _listed(values: Any) -> list[Any]:
    return values if isinstance(values, list) else [values]


def _rule_problems(rule: Mapping[str, Any], grid: Mapping[str, Any], index: int) -> Iterator[Located]:
    """A rule that names what is not there excludes nothing."""
    if not rule:
        yield ("exclude", index), Problem("an empty rule excludes nothing: name values of the grid")
    for name, values in rule.items():
        if name not in grid:
            yield ("exclude", index, name), Problem(f"{name!r} is not in the grid{nearest(name, grid)}")
            continue
        known = [_meant(name, value) for value in grid[name]]
        for place, value in enumerate(_listed(values)):
            if _meant(name, value) not in known:
                path: KeyPath = ("exclude", index, name)
                yield (
                    ((*path, place) if isinstance(values, list) else path),
                    Problem(f"{shorten(value)} is none of the values of {name}{nearest(value, map(str, known))}"),
                )
