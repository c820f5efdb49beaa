"""``spikebench::lif``, the operator that torch.compile, autocast, CUDA graphs and profilers see, and its backward
pass.

Only the input is saved for the backward pass. The neuron's parameters travel as one string, since an operator takes
plain data only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from spikebench.core.errors import InputError
from spikebench.kernels import _layout
from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif._choice import get
from spikebench.kernels.lif._counts import Counts, count

_library: Any = torch.library.Library("spikebench", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define(
    "lif(Tensor x, Tensor? tau, str backend, str neuron, ScalarType? spike_dtype) -> Tensor",
    tags=[torch.Tag.pt2_compliant_tag],
)
_library.define(
    "lif_counted(Tensor x, Tensor? tau, str backend, str neuron, ScalarType? spike_dtype, int run) -> (Tensor, Tensor, Tensor)",
    tags=[torch.Tag.pt2_compliant_tag],
)
_library.define(
    "lif_backward(Tensor x, Tensor grad, Tensor? tau, str backend, str neuron) -> (Tensor, Tensor)",
    tags=[torch.Tag.pt2_compliant_tag],
)


def lif_op(x: Tensor, tau: Tensor | None, backend: str, neuron: str, spike_dtype: torch.dtype | None) -> Tensor:
    """Spikes of ``x`` (T, ...), not empty. ``neuron``: ``Dynamics.encode()``, whose tau a given ``tau`` (0-d)
    overrides.
    """
    spikes: Tensor = torch.ops.spikebench.lif.default(x, tau, backend, neuron, spike_dtype)
    return spikes


def lif_counted_op(
    x: Tensor, tau: Tensor | None, backend: str, neuron: str, spike_dtype: torch.dtype | None, run: int
) -> tuple[Tensor, Counts]:
    """``lif_op`` without a gradient, and what it has counted; ``run``: ``run_of(x)``."""
    spikes, by_run, by_neuron = torch.ops.spikebench.lif_counted.default(x, tau, backend, neuron, spike_dtype, run)
    return spikes, Counts(by_run, by_neuron, run)


def _forward(x: Tensor, tau: Tensor | None, backend: str, neuron: str, spike_dtype: torch.dtype | None) -> Tensor:
    dynamics = Dynamics.decode(neuron)
    x, rows = _layout.rows_of(x)
    spikes = _layout.empty_like(x, spike_dtype or x.dtype)
    spike_rows = _layout.as_rows(spikes)
    assert spike_rows is not None
    get(backend).forward(rows, dynamics, dynamics.tau if tau is None else tau, spike_rows)
    return spikes


def _counted(
    x: Tensor, tau: Tensor | None, backend: str, neuron: str, spike_dtype: torch.dtype | None, run: int
) -> tuple[Tensor, Tensor, Tensor]:
    dynamics, kernels = Dynamics.decode(neuron), get(backend)
    x, rows = _layout.rows_of(x)
    spikes, by_run, by_neuron = _fake_counted(x, None, backend, neuron, spike_dtype, run)
    spike_rows = _layout.as_rows(spikes)
    assert spike_rows is not None
    arguments = rows, dynamics, dynamics.tau if tau is None else tau, spike_rows
    if hasattr(kernels, "forward_counted"):
        kernels.forward_counted(*arguments, by_run.flatten(1), by_neuron)
    else:
        kernels.forward(*arguments)
        count(spike_rows, by_run.flatten(1), by_neuron)
    return spikes, by_run, by_neuron


def _backward(x: Tensor, grad: Tensor, tau: Tensor | None, backend: str, neuron: str) -> tuple[Tensor, Tensor]:
    dynamics = Dynamics.decode(neuron)
    x, rows = _layout.rows_of(x)
    dx = _layout.empty_like(x, x.dtype)
    dx_rows = _layout.as_rows(dx)
    assert dx_rows is not None
    grad_rows = _layout.rows_like(grad, x)
    dtau = get(backend).backward(rows, grad_rows, dynamics, dynamics.tau if tau is None else tau, dx_rows)
    if tau is None:
        return dx, x.new_empty(0)
    assert dtau is not None
    return dx, dtau.to(tau.dtype)


def _fake_forward(x: Tensor, tau: Tensor | None, backend: str, neuron: str, spike_dtype: torch.dtype | None) -> Tensor:
    return _layout.empty_like(_layout.dense(x), spike_dtype or x.dtype)


def _fake_counted(
    x: Tensor, tau: Tensor | None, backend: str, neuron: str, spike_dtype: torch.dtype | None, run: int
) -> tuple[Tensor, Tensor, Tensor]:
    neurons = x[0, 0].numel()
    by_run = x.new_empty(*x.shape[:2], neurons // run, dtype=torch.float32)
    return _fake_forward(x, tau, backend, neuron, spike_dtype), by_run, x.new_empty(neurons, dtype=torch.float32)


def _fake_backward(x: Tensor, grad: Tensor, tau: Tensor | None, backend: str, neuron: str) -> tuple[Tensor, Tensor]:
    return _layout.empty_like(_layout.dense(x), x.dtype), x.new_empty(0) if tau is None else torch.empty_like(tau)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, tau, ctx.backend, ctx.neuron, _ = inputs
    ctx.save_for_backward(x, tau)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, tau = ctx.saved_tensors
    dx, dtau = torch.ops.spikebench.lif_backward.default(x, grad, tau, ctx.backend, ctx.neuron)
    return dx, None if tau is None else dtau, None, None, None


def no_second_derivative(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
    """In place of the backward pass's own backward pass: InputError, where torch would give zeros without a word."""
    raise InputError("a surrogate gradient has no derivative: this operator can be differentiated once")


DIRECT = {torch.ops.spikebench.lif.default: _forward, torch.ops.spikebench.lif_counted.default: _counted}
"""What the operators run without a gradient, for who calls them many times: torch's way to them and back takes longer than small
layers do."""
_library.impl("lif", _forward, "CompositeExplicitAutograd")
_library.impl("lif_counted", _counted, "CompositeExplicitAutograd")
_library.impl("lif_backward", _backward, "CompositeExplicitAutograd")
torch.library.register_fake("spikebench::lif", _fake_forward, lib=_library)
torch.library.register_fake("spikebench::lif_counted", _fake_counted, lib=_library)
torch.library.register_fake("spikebench::lif_backward", _fake_backward, lib=_library)
torch.library.register_autograd("spikebench::lif", _differentiate, setup_context=_save, lib=_library)
torch.library.register_autograd("spikebench::lif_backward", no_second_derivative, lib=_library)
