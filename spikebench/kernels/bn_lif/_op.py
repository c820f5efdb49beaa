"""``spikebench::bn_lif`` and what belongs to it, as torch.compile, autocast and CUDA graphs see them.

Saved for the backward pass: x in its own dtype and four vectors over channels; neither the normalised input nor a
membrane.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from spikebench.kernels import _layout
from spikebench.kernels.bn_lif._channels import channels_of, rows
from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif._op import no_second_derivative

_library: Any = torch.library.Library("spikebench", "FRAGMENT")  # type: ignore[no-untyped-call]
_library.define("bn_statistics(Tensor x, str backend) -> (Tensor, Tensor)", tags=[torch.Tag.pt2_compliant_tag])
_library.define(
    "bn_lif(Tensor x, Tensor weight, Tensor bias, Tensor mean, Tensor inverse, bool batch_statistics, str backend, "
    "str neuron) -> Tensor",
    tags=[torch.Tag.pt2_compliant_tag],
)
_library.define(
    "bn_lif_backward(Tensor x, Tensor grad, Tensor weight, Tensor bias, Tensor mean, Tensor inverse, "
    "bool batch_statistics, str backend, str neuron) -> (Tensor, Tensor, Tensor)",
    tags=[torch.Tag.pt2_compliant_tag],
)


@cache
def backend_of(name: str) -> Any:
    """The backend object of a file in this folder."""
    return import_module(f"spikebench.kernels.bn_lif.{name}").Backend()


def statistics_op(x: Tensor, backend: str) -> tuple[Tensor, Tensor]:
    """Mean and biased variance (C,) of ``x`` (T, B, C, ...); their gradient is part of ``bn_lif_backward``."""
    mean, variance = torch.ops.spikebench.bn_statistics.default(x.detach(), backend)
    return mean, variance


def bn_lif_op(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    moments: tuple[Tensor, Tensor],
    batch_statistics: bool,
    backend: str,
    neuron: str,
) -> Tensor:
    """Spikes of ((x - mean) inverse) weight + bias; ``moments``: mean and 1 / standard deviation of each channel."""
    spikes: Tensor = torch.ops.spikebench.bn_lif.default(x, weight, bias, *moments, batch_statistics, backend, neuron)
    return spikes


def _statistics(x: Tensor, backend: str) -> tuple[Tensor, Tensor]:
    x, channels = channels_of(x)
    mean, variance = backend_of(backend).statistics(rows(x), channels)
    return mean, variance


def _affine(weight: Tensor, bias: Tensor, mean: Tensor, inverse: Tensor) -> tuple[Tensor, Tensor]:
    scale = weight.to(mean.dtype) * inverse
    return scale, bias.to(mean.dtype) - mean * scale


def _forward(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    inverse: Tensor,
    batch_statistics: bool,
    backend: str,
    neuron: str,
) -> Tensor:
    x, channels = channels_of(x)
    spikes = _layout.empty_like(x, x.dtype)
    affine = _affine(weight, bias, mean, inverse)
    backend_of(backend).forward(rows(x), channels, affine, Dynamics.decode(neuron), rows(spikes))
    return spikes


def _backward(
    x: Tensor,
    grad: Tensor,
    weight: Tensor,
    bias: Tensor,
    mean: Tensor,
    inverse: Tensor,
    batch_statistics: bool,
    backend: str,
    neuron: str,
) -> tuple[Tensor, Tensor, Tensor]:
    x, channels = channels_of(x)
    dx = _layout.empty_like(x, x.dtype)
    grad_rows = _layout.rows_like(grad, x)
    affine, moments = _affine(weight, bias, mean, inverse), (mean, inverse)
    dynamics, kernels = Dynamics.decode(neuron), backend_of(backend)
    dbias, dweight = kernels.backward_sums(rows(x), grad_rows, channels, affine, moments, dynamics, rows(dx))
    share = 1 / (x.shape[0] * channels.positions) if batch_statistics else 0.0
    means = dbias * share, dweight * share
    kernels.backward(rows(x), grad_rows, channels, affine, moments, means, dynamics, rows(dx))
    return dx, dweight.to(weight.dtype), dbias.to(bias.dtype)


def _fake_statistics(x: Tensor, backend: str) -> tuple[Tensor, Tensor]:
    dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
    return x.new_empty(x.shape[2], dtype=dtype), x.new_empty(x.shape[2], dtype=dtype)


def _fake_forward(x: Tensor, *_: Any) -> Tensor:
    return _layout.empty_like(channels_of(x)[0], x.dtype)


def _fake_backward(x: Tensor, grad: Tensor, weight: Tensor, bias: Tensor, *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    return _fake_forward(x), torch.empty_like(weight), torch.empty_like(bias)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    *tensors, ctx.batch_statistics, ctx.backend, ctx.neuron = inputs
    ctx.save_for_backward(*tensors)


def _differentiate(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
    x, *vectors = ctx.saved_tensors
    gradients = torch.ops.spikebench.bn_lif_backward.default(x, grad, *vectors, ctx.batch_statistics, ctx.backend, ctx.neuron)
    return (*gradients, *[None] * 5)


for _name, _function, _fake in (
    ("bn_statistics", _statistics, _fake_statistics),
    ("bn_lif", _forward, _fake_forward),
    ("bn_lif_backward", _backward, _fake_backward),
):
    _library.impl(_name, _function, "CompositeExplicitAutograd")
    torch.library.register_fake(f"spikebench::{_name}", _fake, lib=_library)
torch.library.register_autograd("spikebench::bn_lif", _differentiate, setup_context=_save, lib=_library)
torch.library.register_autograd("spikebench::bn_lif_backward", no_second_derivative, lib=_library)
