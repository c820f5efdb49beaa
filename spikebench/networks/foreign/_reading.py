"""A checkpoint file or mapping as a plain state dict: nothing in it is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from spikebench.core.errors import InputError, Problem
from spikebench.networks.foreign._plain import load_plain

Source = str | Path | Mapping[str, Any]
CONTAINERS = ("state_dict", "model", "model_state_dict", "net", "network", "module")
EMA_CONTAINERS = ("state_dict_ema", "model_ema", "ema", "ema_state_dict")
PREFIXES = ("module.", "model.", "net.", "network.", "_orig_mod.", "ema_model.")
COUNTED = ("total_ops", "total_params")
"""Buffers that pytorch-OpCounter leaves in every module."""


def read_state(source: Source, ema: bool = False) -> dict[str, Tensor]:
    """The tensors of ``source`` by name, on the CPU: a path to .pth, .pth.tar, .pt or .safetensors, or a mapping.

    Containers (``state_dict``, ``model``, ..) are opened, one within another too; of others, the only one with tensors by name.
    Prefixes (``module.``, ..) that most names have are stripped; what stands beside them (an averaged model's count, a loss's
    weights) belongs to the wrapper and is left out. ``ema`` takes the averaged weights instead. Raises InputError: no such file,
    one that is damaged or would run code, one without tensors or averages, or with several sets of them.
    """
    name = str(source) if isinstance(source, (str, Path)) else None
    found: Any = load_plain(Path(source)) if isinstance(source, (str, Path)) else source
    state = _without_prefixes(_opened(found, ema, name))
    if not state:
        raise InputError(Problem("holds no tensors by name: not a checkpoint of a network", file=name))
    return state


def _opened(found: Any, ema: bool, name: str | None) -> Mapping[str, Any]:
    if not isinstance(found, Mapping):
        raise InputError(Problem(f"holds a {type(found).__name__}, not a mapping of tensors", file=name))
    for key in EMA_CONTAINERS if ema else CONTAINERS:
        if isinstance(found.get(key), Mapping):
            return _opened(found[key], False, name)
    if not ema and _holds_tensors(found):
        return found
    inner = list(_with_tensors(found))
    if len(inner) == 1:
        return _opened(found[inner[0]], ema, name)
    if ema:
        raise InputError(Problem(f"has no averaged weights ({', '.join(EMA_CONTAINERS)})", file=name))
    if inner:
        raise InputError(
            Problem(f"holds several sets of tensors ({', '.join(inner)}): hand over the one that is meant", file=name)
        )
    return found


def _with_tensors(found: Mapping[str, Any]) -> Iterator[str]:
    """Keys of the mappings that hold tensors by name, in them or further inside; an optimizer's state goes by number."""
    for key, value in found.items():
        if isinstance(value, Mapping) and (_holds_tensors(value) or any(True for _ in _with_tensors(value))):
            yield str(key)


def _holds_tensors(found: Mapping[str, Any]) -> bool:
    return any(isinstance(key, str) and "." in key and isinstance(value, Tensor) for key, value in found.items())


def _without_prefixes(found: Mapping[str, Any]) -> dict[str, Tensor]:
    state = {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, Tensor)}
    state = {key: value for key, value in state.items() if key.rpartition(".")[2] not in COUNTED}
    while state:
        prefix = max(PREFIXES, key=lambda p: sum(key.startswith(p) for key in state))
        inside = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if 2 * len(inside) <= len(state):
            break
        state = inside
    return state
