"""Tensors in whatever a module takes or returns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any

from torch import Tensor, nn

_LEAVES = (str, bytes, int, float, complex, type(None), type, ModuleType, nn.Module)
_DEPTH = 8


def tensors_within(*values: Any) -> list[Tensor]:
    """Each tensor in ``values`` once, in order: in lists, tuples, sets, dicts, dataclasses and other objects' attributes."""
    found: dict[int, Any] = {}
    _collect(values, found, 0)
    return [thing for thing in found.values() if thing is not None]


def _collect(parts: Iterable[Any], found: dict[int, Tensor | None], depth: int) -> None:
    for part in parts:
        if isinstance(part, Tensor):
            found[id(part)] = part
        elif part.__class__ is tuple:
            _collect(part, found, depth)
        elif not isinstance(part, _LEAVES) and not callable(part) and depth < _DEPTH and id(part) not in found:
            found[id(part)] = None
            _collect(_parts(part), found, depth + 1)


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return value.values()
    if isinstance(value, (list, tuple, Set)):
        return value
    if is_dataclass(value):
        return [getattr(value, field.name, None) for field in fields(value)]
    return list(getattr(value, "__dict__", {}).values())
