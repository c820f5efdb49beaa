"""Which combinations of components and shapes make no network, and why: known before anything is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import COMPONENTS, InputSpec, VariantSpec


def check(spec: VariantSpec, inputs: InputSpec) -> list[Problem]:
    """Every reason why ``build(spec, inputs)`` would refuse; empty if it would not.

    A problem's key is the field of VariantSpec at fault, with the option after a dot (``stem.patch_size``). Components are
    imported, nothing is built.
    """
    problems = _unresolved(spec)
    if problems:
        return problems
    family = REGISTRIES["families"].get(spec.family.name)
    problems += _numbers(spec)
    if inputs.T is not None and spec.T != inputs.T and not getattr(family, "stepless", False):
        problems.append(Problem(f"the data set comes in {inputs.T} frames: T must be {inputs.T}, got {spec.T}", key="T"))
    problems += _unused(spec, getattr(family, "unused", ()))
    if not problems and hasattr(family, "check"):
        problems += family.check(spec.family.resolve("families"), spec, inputs)
    return problems


def component_problems(spec: VariantSpec, inputs: InputSpec, fields: Iterable[str]) -> Iterator[Problem]:
    """What the components named in ``fields`` have against this network: their ``check(options, spec, inputs)``."""
    for field in fields:
        choice: Choice = getattr(spec, field)
        registry = COMPONENTS[field]
        component = REGISTRIES[registry].get(choice.name)
        if hasattr(component, "check"):
            yield from component.check(choice.resolve(registry), spec, inputs)


def heads_problems(spec: VariantSpec) -> Iterator[Problem]:
    """Each head takes an equal share of the channels."""
    if spec.dim % spec.num_heads:
        yield Problem(f"dim {spec.dim} cannot be divided among {spec.num_heads} heads", key="num_heads")


def resolve(spec: VariantSpec, inputs: InputSpec) -> VariantSpec:
    """``spec`` with each ``auto`` that depends on the input replaced by what it means there (the stem's patch size).

    Two variants that build the same network on this input become equal, as identities need it. A stem that the family takes none
    of stays as it is: written out, it would be refused.
    """
    from spikebench.networks.stems._patch import resolve_patch

    family = REGISTRIES["families"].get(spec.family.name)
    if (takes := getattr(family, "takes", None)) is not None:  # somebody's own, to whom the rest means nothing
        return VariantSpec(family=spec.family, T=spec.T if "T" in takes else 1)
    if "stem" in getattr(family, "unused", ()):
        return spec
    options = spec.stem.resolve("stems")
    if getattr(options, "patch_size", None) != "auto":
        return spec
    given = {**spec.stem.options, "patch_size": resolve_patch("auto", inputs.size)}
    return dataclasses.replace(spec, stem=Choice(spec.stem.name, given))


def width_of(spec: VariantSpec) -> int:
    """Channels between blocks; 0 of somebody's own network, which does not say."""
    return spec.dim if getattr(REGISTRIES["families"].get(spec.family.name), "takes", None) is None else 0


def _unresolved(spec: VariantSpec) -> list[Problem]:
    problems: list[Problem] = []
    for field, registry in COMPONENTS.items():
        try:
            getattr(spec, field).resolve(registry)
        except InputError as error:
            problems += [problem.within(field) for problem in error.problems]
    return problems


def _numbers(spec: VariantSpec) -> Iterator[Problem]:
    for field in ("depth", "dim", "num_heads", "T"):
        value: Any = getattr(spec, field)
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            yield Problem(f"must be a whole number of at least 1, got {value!r}", key=field)
    if not spec.mlp_ratio * spec.dim >= 1:
        yield Problem(f"leaves no hidden channel: {spec.mlp_ratio} x {spec.dim}", key="mlp_ratio")


def _unused(spec: VariantSpec, unused: Iterable[str]) -> Iterator[Problem]:
    default = VariantSpec()
    for field in unused:
        if getattr(spec, field) != getattr(default, field):
            yield Problem(
                f"family {spec.family.name!r} has its own and takes none; leave it out (got {getattr(spec, field)})", key=field
            )
