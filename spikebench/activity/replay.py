"""Later calls of a network that does the same each time: what one call did is done again, without asking what it is.

To watch every operation from Python costs more than the small ones take. A network of ours does nothing that depends on values,
so one watched call is kept as a ``Program``: its operations in order, and between them what was read to count them. Run again,
they are the same operations on other numbers, and find the same spikes and counts to the bit. ``repeating`` says when.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from spikebench.activity.layout import Layout
from spikebench.activity.measure import Measure
from spikebench.activity.sums import QUIET, Call, SiteSums
from spikebench.kernels.lif import DIRECT

Build = Callable[..., Call]
_CONSTANT = -1


@dataclass(slots=True)
class _Step:
    """``function`` of values by number (``_CONSTANT``: the constant beside it; a list: of several), kept as ``into``; the values
    ``done`` are not read again. ``spare``: nothing comes of it but ``into``.
    """

    function: Callable[..., Any]
    args: list[tuple[Any, Any]]
    kwargs: Mapping[str, Any]
    into: list[int]
    several: bool
    spare: bool = False
    done: list[int] = field(default_factory=list)


class Tape:
    """Writes a call down. ``broken``: why it cannot be run again."""

    def __init__(self, model: nn.Module, x: Tensor) -> None:
        self.broken: str | None = None
        self._weights = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
        self._steps: list[_Step] = []
        self._later: list[_Step] = []
        self._numbers: dict[int, tuple[Callable[[], Any], int]] = {}
        self._size = 0
        self._sites: list[tuple[SiteSums, Build, list[int]]] = []
        self._views: dict[int, int] = {}
        """What a view is of, by number."""
        self._outside = x.untyped_storage()._cdata
        self._name(x)

    def _name(self, thing: Any) -> int:
        """A new value. Tensors are let go as ever; what was found out about them is small, and kept."""
        alive = weakref.ref(thing) if isinstance(thing, Tensor) else lambda: thing
        self._numbers[id(thing)] = alive, self._size
        self._size += 1
        return self._size - 1

    def _number(self, thing: Any) -> int:
        alive, number = self._numbers.get(id(thing), (lambda: None, _CONSTANT))
        if alive() is thing:
            return number
        self.broken = self.broken or "a tensor that no operation of the call has made"
        return _CONSTANT

    def _argument(self, arg: Any) -> tuple[Any, Any]:
        if isinstance(arg, (list, tuple)) and any(isinstance(part, Tensor) for part in arg):
            return [self._argument(part) for part in arg], None
        return (_CONSTANT, arg) if not isinstance(arg, Tensor) or id(arg) in self._weights else (self._number(arg), None)

    def ran(self, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> None:
        """An operation."""
        outputs = out if isinstance(out, (list, tuple)) else (out,)
        if func.namespace not in ("aten", "spikebench") or not all(isinstance(part, Tensor) for part in outputs):
            self.broken = self.broken or f"{func} hands Python a value, or is not known"
        elif any(isinstance(value, Tensor) for value in kwargs.values()) or (
            func._schema.is_mutable and id(args[0]) in self._weights
        ):
            self.broken = self.broken or f"{func} writes to a tensor that outlives the call"
        if self.broken is None:
            read, into = [self._argument(arg) for arg in args], [self._name(part) for part in outputs]
            view = not func._schema.is_mutable and len(outputs) == 1 and self._is_view(out, args[0])
            if view and read[0][0] != _CONSTANT and out.untyped_storage()._cdata != self._outside:
                # Of what the call has made, which will lie in memory as it does now: one step, however many led to it.
                base = self._views[into[0]] = self._views.get(read[0][0], read[0][0])
                place = (out.shape, out.stride(), out.storage_offset())
                read, func, kwargs = [(base, None), *((_CONSTANT, each) for each in place)], torch.as_strided, {}
            spare = view or func is torch.ops.aten.empty.memory_format
            func = DIRECT.get(func, func)
            self._steps.append(_Step(func, read, dict(kwargs), into, out is not outputs[0], spare))

    @staticmethod
    def _is_view(out: Tensor, of: Any) -> bool:
        """Of the same memory, read as the same numbers."""
        if not isinstance(of, Tensor) or out.dtype != of.dtype or out.is_complex():
            return False
        return bool(out.untyped_storage()._cdata == of.untyped_storage()._cdata)

    def read(self, made: Any, function: Callable[..., Any], things: Sequence[Any], at_once: bool) -> None:
        """``made`` is ``function`` of ``things``, tensors or what was made of them; it is kept as one value. If not ``at_once``,
        then when the call is over, of what is small: between layers, which leave nothing in the caches, it takes three times as
        long.
        """
        if self.broken is None:
            step = _Step(function, [(self._number(thing), None) for thing in things], {}, [self._name(made)], False)
            (self._steps if at_once else self._later).append(step)

    def counted(self, site: SiteSums, build: Build, measures: Sequence[Measure]) -> None:
        """A site's counts are ``build`` of ``measures``."""
        if self.broken is None:
            self._sites.append((site, build, [self._number(found) for found in measures]))

    def program(self, output: Any, layout: Layout, fixed: Sequence[Fixed]) -> Program | None:
        """The call is over; None if it is ``broken``."""
        result = self._number(output) if isinstance(output, Tensor) else _CONSTANT
        if self.broken is not None or result == _CONSTANT:
            return None
        read = {number for _, _, numbers in self._sites for number in numbers} | {result}
        steps: list[_Step] = []
        for step in reversed((*self._steps, *self._later)):
            if step.spare and read.isdisjoint(step.into):
                continue
            here = {*step.into, *_numbers(step.args)}
            step.done.extend(here - read)
            read |= here
            steps.append(step)
        return Program(steps[::-1], self._size, result, self._sites, list(fixed), layout)


def _numbers(args: Iterable[tuple[Any, Any]]) -> Iterator[int]:
    for number, _ in args:
        if isinstance(number, list):
            yield from _numbers(number)
        elif number != _CONSTANT:
            yield number


@dataclass(frozen=True, slots=True)
class Fixed:
    """What a call adds to a site whatever the values are."""

    site: SiteSums
    calls: int
    amounts: Mapping[str, int]
    weight_bytes: int


@dataclass(frozen=True, slots=True)
class Program:
    """A call that was written down: see ``Tape``."""

    steps: Sequence[_Step]
    size: int
    result: int
    sites: Sequence[tuple[SiteSums, Build, Sequence[int]]]
    fixed: Sequence[Fixed]
    layout: Layout

    def run(self, x: Tensor) -> Tensor:
        """The network's output for ``x``; its counts are pending at their sites then."""
        values: list[Any] = [None] * self.size
        values[0] = x
        for step in self.steps:
            args = [arg if number == _CONSTANT else _value(number, values) for number, arg in step.args]
            out = step.function(*args, **step.kwargs)
            if step.several:
                for number, part in zip(step.into, out, strict=True):
                    values[number] = part
            else:
                values[step.into[0]] = out
            del args, out
            for number in step.done:
                values[number] = None
        with np.errstate(**QUIET):
            for site, build, numbers in self.sites:
                site.pending.append(build(*[values[number] for number in numbers]))
        for fixed in self.fixed:
            fixed.site.calls += fixed.calls
            fixed.site.add(**fixed.amounts)
            fixed.site.weight_bytes += fixed.weight_bytes
        result: Tensor = values[self.result]
        return result


def _value(number: Any, values: Sequence[Any]) -> Any:
    if isinstance(number, list):
        return [arg if part == _CONSTANT else values[part] for part, arg in number]
    return values[number]
