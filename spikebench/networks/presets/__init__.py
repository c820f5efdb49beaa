"""Published networks by name: a YAML file of the VariantSpec fields that differ from the defaults. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import VariantSpec

__all__ = ["load"]


def load(name: str) -> VariantSpec:
    """The preset called ``name``, ours or an installed package's (a VariantSpec, a mapping, or a YAML file's path).

    Raises InputError: an unknown name, naming the nearest; a file that is no mapping or has unknown or wrong fields.
    """
    found: Any = REGISTRIES["presets"].get(name)
    if isinstance(found, VariantSpec):
        return found
    if isinstance(found, (str, Path)):
        found = yaml.safe_load(Path(found).read_text(encoding="utf-8"))
    if not isinstance(found, Mapping):
        raise InputError(f"preset {name!r} is no mapping of VariantSpec fields: {found!r}")
    return VariantSpec.from_mapping(found)
