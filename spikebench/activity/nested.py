"""Tensors in whatever a module takes or returns, and modules that a network keeps in plain lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import fields, is_dataclass
from types import ModuleType
from typing import Any

from torch import Tensor, nn
from torch.jit import ScriptModule

_LEAVES = (str, bytes, int, float, complex, type(None), type, ModuleType, nn.Module)
_DEPTH = 8
_OWN = frozenset(vars(nn.Module()))
"""What every module has: what is registered, hooks."""


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


def named_parts(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """``model.named_modules()``, and those that it keeps where torch does not look: in lists, dicts and hidden attributes."""
    seen: set[int] = set()
    waiting: list[tuple[str, nn.Module]] = [("", model)]
    for prefix, root in waiting:
        for name, module in root.named_modules(prefix=prefix):
            if id(module) in seen:
                continue
            seen.add(id(module))
            yield name, module
            if not isinstance(module, ScriptModule):
                waiting += [(f"{name}.{path}" if name else path, part) for path, part in _unlisted(module)]


def _unlisted(module: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for key, value in vars(module).items():
        if key in _OWN:
            continue
        if isinstance(value, nn.Module):
            yield key, value
        elif isinstance(value, (list, tuple, dict)) and value:
            for index, part in value.items() if isinstance(value, dict) else enumerate(value):
                if isinstance(part, nn.Module):
                    yield f"{key}.{index}", part
