"""Which backend runs: the one asked for, or the fastest that can. Never another one in silence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from spikebench.core.errors import InputError, Problem
from spikebench.core.registry import REGISTRIES
from spikebench.kernels.dynamics import Dynamics

Function = TypeVar("Function", bound=Callable[..., Any])
FASTEST_FIRST = {"cuda": ("triton", "torch", "reference"), "cpu": ("numba", "torch", "reference")}


class Backend(Protocol):
    """What a file in this folder offers. ``x``, ``spikes``, ``grad``, ``dx`` are rows (T, M) with unit stride within
    a row.

    ``spikes`` and ``dx`` come uninitialised. The stride between x's rows may be 0 (an input repeated over T). ``tau``
    is a number, None (no leak), or a 0-d tensor (learned).

    A backend may have ``forward_counted(x, dynamics, tau, spikes, by_run, by_neuron)`` too, which fills ``by_run`` (T, runs) and
    ``by_neuron`` (N,) as well (``_counts.Counts``); of any other the spikes are counted when they are written.
    """

    def why_not(self, x: Tensor, dynamics: Dynamics, learned_tau: bool = False) -> str | None:
        """Why it cannot run on ``x`` (any shape), as the end of a sentence; None where it can."""

    def forward(self, x: Tensor, dynamics: Dynamics, tau: Any, spikes: Tensor) -> None:
        """Fill ``spikes`` with 0 and 1."""

    def backward(self, x: Tensor, grad: Tensor, dynamics: Dynamics, tau: Any, dx: Tensor) -> Tensor | None:
        """Fill ``dx`` with dL/dx and return dL/dtau (0-d) where ``tau`` is a tensor, else None."""


_default = "auto"


@contextmanager
def use_backend(name: str) -> Iterator[None]:
    """Within the block every ``lif`` of this process that names no backend runs on ``name`` (``auto`` gives the
    choice back).

    For the whole process, not for one thread: autograd runs backward passes on threads of its own. Raises InputError
    for an unknown name; one that cannot run raises where it is asked to.
    """
    global _default
    if name != "auto":
        get(name)
    before, _default = _default, name
    try:
        yield
    finally:
        _default = before


def default_backend() -> str:
    """What ``use_backend`` set, or ``auto``."""
    return _default


def constant_when_traced(function: Function) -> Function:
    """torch.compile calls such a function once, on plain arguments, and keeps what it returned.

    The mark is all that ``torch.compiler.assume_constant_result`` sets; that one would load the whole compiler on
    import.
    """
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def choose(backend: str, device: torch.device, dtype: torch.dtype, neuron: str, learned_tau: bool) -> str:
    """The backend's name; raises InputError with the reason where one asked for by name cannot run."""
    return _choose(_default if backend == "auto" else backend, device, dtype, neuron, learned_tau)


@constant_when_traced
def _choose(name: str, device: torch.device, dtype: torch.dtype, neuron: str, learned_tau: bool) -> str:
    x = torch.empty(0, dtype=dtype, device=device)
    dynamics = Dynamics.decode(neuron)
    if name != "auto":
        reason = get(name).why_not(x, dynamics, learned_tau)
        if reason is not None:
            raise InputError(Problem(f"the backend {name!r} cannot run: {reason}", key="backend"))
        return name
    return next(
        name
        for name in FASTEST_FIRST.get(device.type, ("torch", "reference"))  # the last of them always can
        if get(name).why_not(x, dynamics, learned_tau) is None
    )


def explain(x: Tensor, dynamics: Dynamics | None = None) -> dict[str, str | None]:
    """For every backend why it cannot run on ``x``, or None; what ``spikebench doctor`` prints."""
    return {name: get(name).why_not(x, dynamics or Dynamics()) for name in REGISTRIES["backends"].names()}


@cache
def get(name: str) -> Backend:
    """The backend object; raises InputError for an unknown name."""
    backend: Backend = REGISTRIES["backends"].get(name)()
    return backend
