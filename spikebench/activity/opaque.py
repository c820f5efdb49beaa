"""Tensors whose elements cannot be read one by one: sparse ones, wrappers, numbers that are no plain numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from spikebench.core.errors import InputError


def why_opaque(tensors: Iterable[Tensor]) -> str | None:
    """What the first such tensor is, in words; None if all are plain. On the way of every operation, so it must cost nothing."""
    for tensor in tensors:
        if type(tensor) in _ORDINARY and tensor.dtype in _PLAIN and tensor.layout is _STRIDED:
            if not tensor.is_nested and not tensor.is_meta:
                continue
        elif tensor.layout is not _STRIDED:
            return f"a tensor of layout {tensor.layout}"
        if tensor.dtype not in _PLAIN or tensor.is_nested or tensor.is_meta or _wraps(type(tensor)):
            return _named(tensor)
    return None


def has_memory(tensor: Tensor) -> bool:
    """Whether views of it are memory of its own storage."""
    return tensor.layout is _STRIDED and (type(tensor) in _ORDINARY or not _wraps(type(tensor))) and not tensor.is_nested


def unusable(*things: Sequence[tuple[str, nn.Module]] | Tensor) -> None:
    """Raises InputError for what has no values at all: on the device ``meta``, or weights that a first call has yet to make.

    ``things``: inputs, or named modules.
    """
    for thing in things:
        if isinstance(thing, Tensor):
            if thing.is_meta:
                raise InputError("an input is on the device meta, where tensors have no values to count; pass real ones")
            continue
        for scope, module in thing:
            for own in (*module._parameters.values(), *module._buffers.values()):
                if own is None:
                    continue
                name = f"{scope or 'the network'} ({type(module).__name__})"
                if is_lazy(own):
                    raise InputError(f"{name} has no weights before its first call: run the network once, then count it")
                if own.is_meta:
                    raise InputError(
                        f"{name} is on the device meta, where tensors have no values to count: load its weights first"
                    )


def _named(tensor: Tensor) -> str:
    if tensor.is_nested:
        return "a nested tensor"
    if tensor.is_meta:
        return "a tensor without data (meta)"
    if tensor.dtype not in _PLAIN:
        return f"a tensor of {'complex numbers' if tensor.is_complex() else f'quantised numbers ({tensor.dtype})'}"
    return f"a {type(tensor).__name__}, which is no plain tensor,"


_STRIDED = torch.strided
_ORDINARY = frozenset({Tensor, nn.Parameter})
_PLAIN = frozenset(
    {
        torch.bool,
        *(torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16, torch.int32, torch.int64),
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64),
        *(getattr(torch, name) for name in dir(torch) if name.startswith("float8_")),
    }
)


@cache
def _wraps(kind: type[Tensor]) -> bool:
    """A class that answers operations itself."""
    return kind.__torch_dispatch__ is not Tensor.__torch_dispatch__
