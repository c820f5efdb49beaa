"""What a network is (``VariantSpec``) and what it is fed (``InputSpec``)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem, nearest
from spikebench.core.registry import REGISTRIES
from spikebench.core.text import shorten
from spikebench.core.wording import yaml_hint

COMPONENTS: Mapping[str, str] = {
    "family": "families",
    "stem": "stems",
    "attention": "attentions",
    "residual": "residuals",
    "neuron": "neurons",
    "surrogate": "surrogates",
    "encoding": "encodings",
    "position": "positions",
    "head": "heads",
}
"""The fields of a VariantSpec that choose a component, and the registry that each chooses from."""


@dataclasses.dataclass(frozen=True, slots=True)
class InputSpec:
    """Shape of a data set: (B, channels, size, size), or (T, B, channels, size, size) if it comes as event frames.

    ``T``: how many frames these are, where the data set knows.
    """

    channels: int
    size: int
    classes: int
    events: bool = False
    T: int | None = None

    def __post_init__(self) -> None:
        for name in ("channels", "size", "classes", "T"):
            value = getattr(self, name)
            if value is None and name == "T":
                continue
            if isinstance(value, bool) or not hasattr(value, "__index__"):
                hint = " (height and width are equal: crop or pad)" if name == "size" and isinstance(value, tuple | list) else ""
                raise InputError(Problem(f"expected a whole number, got {value!r}{hint}", key=name))
            if value < 1:
                raise InputError(Problem(f"must be at least 1, got {value}", key=name))


@dataclasses.dataclass(frozen=True, slots=True)
class VariantSpec:
    """One network, without its input: image size, channels and classes belong to the data set.

    ``depth`` encoder blocks of width ``dim`` with ``num_heads`` heads; the MLP is ``mlp_ratio`` times as wide; ``T`` time steps.
    The defaults are Spikformer's (arXiv 2209.15425).
    """

    family: Choice = Choice("spikformer")
    stem: Choice = Choice("sps")
    attention: Choice = Choice("ssa")
    residual: Choice = Choice("add")
    neuron: Choice = Choice("lif")
    surrogate: Choice = Choice("sigmoid")
    encoding: Choice = Choice("direct")
    position: Choice = Choice("none")
    head: Choice = Choice("mean")
    depth: int = 4
    dim: int = 384
    num_heads: int = 12
    mlp_ratio: float = 4.0
    T: int = 4

    @classmethod
    def from_mapping(cls, fields: Mapping[str, Any]) -> VariantSpec:
        """From plain data, as in a suite. Raises InputError with one problem per wrong field; keys are field names."""
        problems: list[Problem] = []
        values: dict[str, Any] = {}
        known = {field.name: field for field in dataclasses.fields(cls)}
        for key, value in fields.items():
            try:
                if key not in known:
                    raise InputError(Problem(f"unknown field {key!r}{nearest(key, known)}"))
                values[key] = Choice.parse(value) if key in COMPONENTS else _number(value, whole=key != "mlp_ratio")
            except InputError as error:
                problems += [problem.within(str(key)) for problem in error.problems]
        if problems:
            raise InputError(problems)
        return cls(**values)

    def replace(self, **changes: Any) -> VariantSpec:
        """A copy with some fields changed; component fields take a name or a mapping as in a suite."""
        changed = VariantSpec.from_mapping(changes)
        return dataclasses.replace(self, **{name: getattr(changed, name) for name in changes})

    def to_plain(self) -> dict[str, Any]:
        """Every field, defaults too, as plain data that ``from_mapping`` reads back."""
        out: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            out[field.name] = value.to_plain() if isinstance(value, Choice) else value
        return out

    def meant(self) -> dict[str, Any]:
        """``to_plain`` without the fields that mean nothing to the family: somebody's own ``make(inputs)`` takes none of ours.

        Every network has a ``T``; it is 1 where there are no time steps.
        """
        takes = getattr(REGISTRIES["families"].get(self.family.name), "takes", None)
        return {name: value for name, value in self.to_plain().items() if takes is None or name in ("family", "T")}

    def versions(self) -> dict[str, int]:
        """Field -> version, of components that are not what they first were."""
        found = {field: REGISTRIES[registry].version(getattr(self, field).name) for field, registry in COMPONENTS.items()}
        return {field: version for field, version in found.items() if version != 1}

    def canonical(self) -> dict[str, Any]:
        """The fields that differ from the defaults, for hashing; a component whose meaning has changed says its version.

        Imports the components, since their defaults and versions live there.
        """
        out: dict[str, Any] = {}
        versions = self.versions()
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.name in COMPONENTS:
                value = value.canonical(COMPONENTS[field.name])
                if field.name in versions:
                    value["version"] = versions[field.name]
                if value != {"name": field.default.name}:
                    out[field.name] = value
            elif value != field.default:
                out[field.name] = value
        return out


def _number(value: Any, whole: bool) -> int | float:
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf
    if not known or (whole and value != int(value)):
        what = "whole number" if whole else "number"
        raise InputError(Problem(f"expected a {what}, got {shorten(value)}{yaml_hint(value)}"))
    if not 0 < value < 2**31:
        raise InputError(Problem(f"must be above 0, got {value!r}" if value <= 0 else f"must be below 2^31, got {value!r}"))
    return int(value) if whole else float(value)
