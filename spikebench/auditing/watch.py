"""Two runs of a network, compared module by module: where is the first difference?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from spikebench.activity.nested import named_parts, tensors_within
from spikebench.auditing.calls import distance


@dataclass(frozen=True)
class Event:
    """A module begins with these tensors, or ends with them. ``call``: which of its calls in this run it is, from 0."""

    scope: str
    kind: Literal["in", "out"]
    tensors: tuple[Tensor, ...]
    call: int


@contextmanager
def watching(model: nn.Module) -> Iterator[list[Event]]:
    """What goes into and comes out of every module, in order; kept as copies, since modules may write in place."""
    events: list[Event] = []
    calls: dict[str, int] = {}

    def note(scope: str, kind: Literal["in", "out"], *values: Any) -> None:
        if kind == "in":
            calls[scope] = calls.get(scope, -1) + 1
        tensors = tuple(tensor.detach().clone() for tensor in tensors_within(*values) if tensor.layout is torch.strided)
        events.append(Event(scope, kind, tensors, calls.get(scope, 0)))

    with ExitStack() as stack:
        for scope, module in named_parts(model):
            before = nn.Module.register_forward_pre_hook(
                module, lambda _, args, kwargs, scope=scope: note(scope, "in", args, kwargs), with_kwargs=True
            )
            after = nn.Module.register_forward_hook(module, lambda _, __, out, scope=scope: note(scope, "out", out))
            stack.callback(before.remove)
            stack.callback(after.remove)
        yield events


@dataclass(frozen=True)
class Place:
    """``layer``: the module in which two runs part. ``difference``: by how much."""

    layer: str
    difference: float


Compare = Callable[[Event, Event], float | None]
"""By how much two events differ; None where they cannot be compared."""


def first_difference(one: Sequence[Event], other: Sequence[Event], compare: Compare, tolerance: float) -> Place | None:
    """The first module whose output differs though nothing before it did.

    Where an input differs first, what lies between the modules does it: the module around them.
    """
    running: list[str] = []
    for a, b in zip(one, other, strict=False):
        if (a.scope, a.kind) != (b.scope, b.kind):
            return Place(running[-1] if running else "", float("inf"))
        difference = compare(a, b)
        if difference is not None and difference > tolerance:
            return Place(a.scope if a.kind == "out" else (running[-1] if running else ""), difference)
        if a.kind == "in":
            running.append(a.scope)
        else:
            while running and running.pop() != a.scope:
                pass
    return None


def unfinished(events: Sequence[Event]) -> str | None:
    """The innermost module that began and did not end: where an exception came from. None where none was running."""
    running = [event.scope for event in events if event.kind == "in"]
    for event in events:
        if event.kind == "out":
            running.remove(event.scope)
    return running[-1] if running else None


def same(a: Event, b: Event) -> float | None:
    """Of runs that must be equal throughout."""
    return max((distance(x, y) for x, y in zip(a.tensors, b.tensors, strict=False)), default=None)
