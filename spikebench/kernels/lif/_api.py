"""The public functions."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem
from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif import _counts
from spikebench.kernels.lif._choice import choose, constant_when_traced
from spikebench.kernels.lif._op import lif_counted_op, lif_op
from spikebench.kernels.surrogates import Formula, resolve

Surrogate = str | Mapping[str, Any] | Choice | Formula


def lif(
    x: Tensor,
    tau: float | Tensor | None = 2.0,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    detach_reset: bool = True,
    surrogate: Surrogate = "sigmoid",
    backend: str = "auto",
    *,
    spike_dtype: torch.dtype | None = None,
) -> Tensor:
    """Spikes of leaky integrate-and-fire neurons over T steps, from rest (equations: ``Dynamics``).

    ``x`` (T, ...) is the input current in float64, float32, float16 or bfloat16 and any layout; a layout that is
    dense within a step (contiguous, channels-last, an image expanded over T) is not copied. Returns 0 and 1 in
    ``x``'s shape and dtype, or in ``spike_dtype`` (``torch.int8``, say; integers carry no gradient). The membrane is
    float32 for half precision, else x's dtype.

    ``tau``: a number >= 1; None for integrate-and-fire; or a 0-d floating-point tensor, which is learned (PLIF, Fang
    et al. 2021, arXiv 2007.05785): its gradient flows, it is not checked to be >= 1 (that would wait for the device),
    and for the same value it fires as the number does. ``v_reset`` None is a soft reset. ``surrogate``: a name
    (``sigmoid``), ``{"name": "atan", "alpha": 2.0}`` or an object. ``backend``: a name or ``auto``, the fastest that
    can run (``which_backend`` tells which).

    An empty ``x`` with T >= 1 gives an empty result. NaN never fires and lasts to the end of its sequence; +inf
    fires, -inf does not. Raises InputError: T = 0, a dtype that is not floating point, parameters out of range, a
    learned tau on another device than x, integer spikes where a gradient is asked for, an unknown backend, or one
    asked for by name that cannot run.
    """
    neuron, learned = prepare(x, tau, v_threshold, v_reset, decay_input, detach_reset, surrogate)
    _check_spike_dtype(x, learned, spike_dtype)
    name = choose(backend, x.device, x.dtype, neuron, learned is not None)
    if x.numel() == 0:
        return x * 0 if spike_dtype is None else torch.empty_like(x, dtype=spike_dtype)
    if _counts.wanted() and (run := _counts.run_of(x)) and not _trained(x, learned):
        spikes, counts = lif_counted_op(x, learned, name, neuron, spike_dtype, run)
        _counts.tell(spikes, counts)
        return spikes
    return lif_op(x, learned, name, neuron, spike_dtype)


def integrate_and_fire(
    x: Tensor,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    detach_reset: bool = True,
    surrogate: Surrogate = "sigmoid",
    backend: str = "auto",
    *,
    spike_dtype: torch.dtype | None = None,
) -> Tensor:
    """Spikes of neurons without leak, H[t] = V[t-1] + X[t]: ``lif`` with ``tau=None``; everything else is said there."""
    return lif(x, None, v_threshold, v_reset, True, detach_reset, surrogate, backend, spike_dtype=spike_dtype)


def which_backend(
    x: Tensor,
    tau: float | Tensor | None = 2.0,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    detach_reset: bool = True,
    surrogate: Surrogate = "sigmoid",
    backend: str = "auto",
) -> str:
    """The name of the backend that ``lif`` runs for these arguments, for a record. Raises as ``lif`` does."""
    neuron, learned = prepare(x, tau, v_threshold, v_reset, decay_input, detach_reset, surrogate)
    return choose(backend, x.device, x.dtype, neuron, learned is not None)


def prepare(
    x: Tensor,
    tau: float | Tensor | None,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: Surrogate,
) -> tuple[str, Tensor | None]:
    if not isinstance(x, Tensor):
        raise InputError(Problem(f"must be a tensor, got {type(x).__name__}", key="x"))
    if x.dim() == 0 or x.shape[0] == 0:
        raise InputError(Problem(f"needs at least one time step (T, ...), got shape {tuple(x.shape)}", key="x"))
    if not x.is_floating_point():
        raise InputError(Problem(f"must be floating point, got {x.dtype}", key="x"))
    learned = tau if isinstance(tau, Tensor) else None
    if learned is not None and (learned.dim() or not learned.is_floating_point()):
        raise InputError(
            Problem(f"must be a floating-point tensor of shape (), got {learned.dtype} {tuple(learned.shape)}", "tau")
        )
    if learned is not None and learned.device != x.device:
        raise InputError(Problem(f"is on {learned.device}, x is on {x.device}", key="tau"))
    number = 2.0 if isinstance(tau, Tensor) else tau
    key = surrogate.key if isinstance(surrogate, Formula) else surrogate
    return _neuron(number, v_threshold, v_reset, decay_input, detach_reset, key), learned


@constant_when_traced
def _neuron(
    tau: float | None,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: str | Mapping[str, Any] | Choice,
) -> str:
    if not isinstance(surrogate, str):
        surrogate = resolve(surrogate).key
    return _encode(tau, v_threshold, v_reset, decay_input, detach_reset, surrogate)


@lru_cache(maxsize=1024)
def _encode(
    tau: float | None,
    v_threshold: float,
    v_reset: float | None,
    decay_input: bool,
    detach_reset: bool,
    surrogate: str,
) -> str:
    return Dynamics(
        None if tau is None else float(tau),
        float(v_threshold),
        None if v_reset is None else float(v_reset),
        bool(decay_input),
        bool(detach_reset),
        resolve(surrogate),
    ).encode()


def _trained(x: Tensor, tau: Tensor | None) -> bool:
    return torch.is_grad_enabled() and (x.requires_grad or (tau is not None and tau.requires_grad))


def _check_spike_dtype(x: Tensor, tau: Tensor | None, spike_dtype: torch.dtype | None) -> None:
    if spike_dtype is None or spike_dtype == x.dtype:
        return
    if not spike_dtype.is_floating_point and _trained(x, tau):
        raise InputError(Problem(f"{spike_dtype} carries no gradient, but one is asked for", key="spike_dtype"))
