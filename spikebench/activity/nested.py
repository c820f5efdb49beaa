"""Tensors in whatever a module takes or returns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any

from torch import Tensor, nn

_LEAVES = (str, bytes, int, float, complex, type(None), type, ModuleType, nn.Module)
_DEPTH = 8


def tensors_within(*values: Any) -> list[Tensor]:
    """Each tensor in ``values`` once, in order: in lists, tuples, sets, dicts, dataclasses and other objects' attributes."""
    return list({id(tensor): tensor for tensor in _within(values, set(), 0)}.values())


def _within(value: Any, above: set[int], depth: int) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif not isinstance(value, _LEAVES) and not callable(value) and depth < _DEPTH and id(value) not in above:
        above.add(id(value))
        for part in _parts(value):
            yield from _within(part, above, depth + 1)


def _parts(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        yield from value.values()
    elif isinstance(value, (list, tuple, Set)):
        yield from value
    elif is_dataclass(value):
        yield from (getattr(value, field.name, None) for field in fields(value))
    else:
        yield from getattr(value, "__dict__", {}).values()
