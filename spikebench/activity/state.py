"""A counting pass leaves a network as it was: modes, attributes, buffers, memories, gradients, random numbers."""

from __future__ import annotations

import random
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from operator import is_
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikebench.activity.moves import tensors_in

BeforeWrite = Callable[[Any, tuple[Any, ...], Mapping[str, Any]], None]


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[BeforeWrite]:
    """Whatever ``model`` does to itself inside the block is undone at its end, also after an exception.

    That is: the attributes of every module, registered or kept in a list; containers and objects that these hold, with their
    tensors (buffers, membranes) by identity and by value; parameters with ``data``, ``grad`` and ``requires_grad``; and the
    states of torch's, NumPy's and Python's random numbers. Objects inside objects are not looked into, nor are attributes of
    scripted modules other than parameters and buffers.

    Parameters and gradients are copied only when something is about to write to them, which a dispatch mode must say: by calling
    what this yields with every operation before it runs.
    """
    devices = {parameter.device for parameter in model.parameters() if parameter.is_cuda}
    others = random.getstate(), np.random.get_state()
    with torch.random.fork_rng([device.index for device in devices]):
        kept = _Kept()
        kept.look(model)
        try:
            yield kept.before
        finally:
            kept.put_back()
            random.setstate(others[0])
            np.random.set_state(others[1])


class _Kept:
    def __init__(self) -> None:
        self._undo: list[Callable[[], Any]] = []
        self._seen: dict[int, Any] = {}
        self._containers: list[tuple[Any, Any]] = []
        self._empty: list[Any] = []
        self._tensors: list[tuple[Tensor, Tensor, int, bool, Tensor | None]] = []
        self._guarded: dict[int, torch.UntypedStorage] = {}
        self._copies: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}

    def look(self, thing: Any, inside_object: bool = False) -> None:
        """Remember ``thing`` and what belongs to it."""
        if type(thing) in _CONSTANT or id(thing) in self._seen:
            return
        self._seen[id(thing)] = thing  # alive, so that no other thing gets its id
        if isinstance(thing, Tensor):
            self._tensor(thing)
        elif isinstance(thing, (dict, list, set, deque)):
            self._container(thing, inside_object)
        elif isinstance(thing, tuple):
            for part in thing:
                self.look(part, inside_object)
        elif isinstance(thing, torch.jit.ScriptModule):
            for module in thing.modules():
                if hasattr(module, "training"):  # frozen ones have no mode
                    self._undo.append(partial(setattr, module, "training", module.training))
            for tensor in (*thing.parameters(), *thing.buffers()):
                self.look(tensor)
        elif isinstance(thing, torch.Generator):
            self._undo.append(partial(thing.set_state, thing.get_state()))
        elif isinstance(thing, nn.Module) or not inside_object:
            own = getattr(thing, "__dict__", None)
            if isinstance(own, dict):
                self._container(own, not isinstance(thing, nn.Module))

    def _container(self, thing: Any, inside_object: bool) -> None:
        before = thing.copy()
        self._containers.append((thing, before))
        for part in before.values() if isinstance(before, dict) else before:
            kind = type(part)
            if kind in _CONTAINERS and not part:
                self._empty.append(part)  # a module has a dozen, for hooks
            elif kind not in _CONSTANT:
                self.look(part, inside_object)

    def _tensor(self, tensor: Tensor) -> None:
        grad = tensor.grad if tensor.is_leaf else None
        try:
            data, storage = tensor.detach(), tensor.untyped_storage()
        except (NotImplementedError, RuntimeError):  # sparse, a wrapper: it has no memory that could be copied
            return
        self._tensors.append((tensor, data, storage._cdata, tensor.requires_grad, grad))
        self._guarded[storage._cdata] = storage
        if grad is not None:
            self._guarded[grad.untyped_storage()._cdata] = grad.untyped_storage()
        if not isinstance(tensor, nn.Parameter):
            self._copy(storage)

    def _copy(self, storage: torch.UntypedStorage) -> None:
        if storage._cdata not in self._copies:
            self._copies[storage._cdata] = (storage, storage.clone())  # type: ignore[no-untyped-call]

    def before(self, func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """``func`` is about to run."""
        positions, names = _written(func)
        if not positions and not names:
            return
        for tensor in tensors_in((*(args[index] for index in positions if index < len(args)), *map(kwargs.get, names))):
            try:
                key = tensor.untyped_storage()._cdata
            except (NotImplementedError, RuntimeError):
                continue
            if key in self._guarded:
                self._copy(self._guarded[key])

    def put_back(self) -> None:
        for thing in self._empty:
            if thing:
                thing.clear()
        for thing, before in self._containers:
            if not _same(thing, before):
                thing.clear()
                (thing.extend if isinstance(thing, (list, deque)) else thing.update)(before)
        for undo in self._undo:
            undo()
        for tensor, data, key, asks, grad in self._tensors:
            if tensor.untyped_storage()._cdata != key or tensor.shape != data.shape or tensor.stride() != data.stride():
                tensor.data = data
            if tensor.is_leaf and tensor.requires_grad != asks:
                tensor.requires_grad_(asks)
            if tensor.is_leaf and tensor.grad is not grad:
                tensor.grad = grad
        for storage, copy in self._copies.values():
            if storage.nbytes() != copy.nbytes():
                storage.resize_(copy.nbytes())
            if not torch.equal(_bytes(storage), _bytes(copy)):
                storage.copy_(copy)


_CONTAINERS = frozenset({dict, OrderedDict, list, set, deque})
_CONSTANT = frozenset(
    {str, bytes, bool, int, float, complex, type(None), type, ModuleType, FunctionType, torch.dtype, torch.device, torch.Size}
)


def _same(now: Any, before: Any) -> bool:
    if not now and not before:
        return True
    if isinstance(now, set):
        return bool(now == before)
    if isinstance(now, dict):
        return list(now) == list(before) and all(map(is_, now.values(), before.values()))
    return len(now) == len(before) and all(map(is_, now, before))


def _bytes(storage: torch.UntypedStorage) -> Tensor:
    return torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)


@cache
def _written(func: Any) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Which arguments an operation writes to, by position and by name."""
    written = [
        (index, argument)
        for index, argument in enumerate(func._schema.arguments)
        if argument.alias_info and argument.alias_info.is_write
    ]
    return (
        tuple(index for index, argument in written if not argument.kwarg_only),
        tuple(argument.name for index, argument in written if argument.kwarg_only),
    )
