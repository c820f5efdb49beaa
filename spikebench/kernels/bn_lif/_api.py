"""The public function."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from spikebench.core.errors import InputError, Problem, nearest
from spikebench.kernels.bn_lif._op import backend_of, bn_lif_op, statistics_op
from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif import lif
from spikebench.kernels.lif._api import Surrogate, prepare
from spikebench.kernels.lif._choice import constant_when_traced, default_backend

BACKENDS = ("triton", "numba", "unfused", "reference")


def bn_lif(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *,
    tau: float | None = 2.0,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    detach_reset: bool = True,
    surrogate: Surrogate = "sigmoid",
    backend: str = "auto",
) -> Tensor:
    """Spikes of LIF neurons whose input current is BatchNorm(x): ``lif(batch_norm(x))`` in fewer passes over memory.

    ``x`` (T, B, C, ...) contiguous or with the channels innermost; other layouts are copied. Statistics run over
    steps, batch and space, as in the papers' code, which folds T into the batch. The arguments before the star are
    those of ``torch.nn.functional.batch_norm`` and mean the same (running statistics are updated in place where
    ``training``; without running statistics the batch's are used always); those after it are ``lif``'s. Returns
    spikes in x's shape and dtype.

    ``backend``: ``triton`` or ``numba``, fused; ``unfused``, torch's BatchNorm and then ``lif``; ``reference``, plain
    torch from the equations; or ``auto``, the first of them that can run. The fused kernels keep the normalised input in float32
    where torch rounds it to x's dtype, so in half precision a few spikes near the threshold differ; from the
    reference none does for given statistics.

    Raises InputError: what ``lif`` raises, fewer than three axes, vectors that are not of shape (C,) on x's device, a
    learned tau, one number a channel while training, a backend that cannot run.
    """
    neuron, learned = prepare(x, tau, v_threshold, v_reset, decay_input, detach_reset, surrogate)
    if learned is not None:
        raise InputError(Problem("a learned tau is lif's alone: normalise, then call lif", key="tau"))
    _check_vectors(x, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias)
    batch_statistics = training or running_mean is None or running_var is None
    numbers = x.numel() // x.shape[2] if x.shape[2] else 0
    if batch_statistics and numbers == 1:
        raise InputError(Problem("a channel of one number has no variance to train with", key="x"))
    name = _choose(backend, default_backend(), x.shape[0], x.device, x.dtype, neuron)
    if name == "unfused" or x.numel() == 0:
        folded = F.batch_norm(x.flatten(0, 1), running_mean, running_var, weight, bias, batch_statistics, momentum, eps)
        y = torch.unflatten(folded, 0, x.shape[:2])
        return lif(y, tau, v_threshold, v_reset, decay_input, detach_reset, surrogate)
    if batch_statistics:
        mean, variance = statistics_op(x, name)
        if running_mean is not None and running_var is not None:
            with torch.no_grad():
                running_mean.lerp_(mean.to(running_mean.dtype), momentum)
                running_var.lerp_((variance * (numbers / (numbers - 1))).to(running_var.dtype), momentum)
    else:
        assert running_mean is not None
        assert running_var is not None
        mean, variance = running_mean.to(_state_dtype(x)), running_var.to(_state_dtype(x))
    ones = torch.ones_like(mean) if weight is None else weight
    zeros = torch.zeros_like(mean) if bias is None else bias
    return bn_lif_op(x, ones, zeros, (mean, torch.rsqrt(variance + eps)), batch_statistics, name, neuron)


def can_fuse(
    x: Tensor,
    tau: float | None = 2.0,
    v_threshold: float = 1.0,
    v_reset: float | None = 0.0,
    decay_input: bool = True,
    detach_reset: bool = True,
    surrogate: Surrogate = "sigmoid",
) -> bool:
    """Whether ``bn_lif`` runs a fused kernel for these arguments. Raises as ``bn_lif`` does."""
    neuron, _ = prepare(x, tau, v_threshold, v_reset, decay_input, detach_reset, surrogate)
    return _choose("auto", default_backend(), x.shape[0], x.device, x.dtype, neuron) != "unfused"


def why_not(backend: str, x: Tensor, dynamics: Dynamics | None = None) -> str | None:
    """Why this backend cannot run on ``x``, or None. Raises InputError for an unknown one."""
    if backend not in BACKENDS:
        raise InputError(Problem(f"unknown backend {backend!r}{nearest(backend, BACKENDS)}", key="backend"))
    if backend == "unfused":
        return None
    reason: str | None = backend_of(backend).why_not(x, dynamics or Dynamics())
    return reason


@constant_when_traced
def _choose(backend: str, default: str, T: int, device: torch.device, dtype: torch.dtype, neuron: str) -> str:
    x, dynamics = torch.empty(T, 0, 0, dtype=dtype, device=device), Dynamics.decode(neuron)
    if backend == "auto":
        name = "triton" if device.type == "cuda" else "numba"
        wanted = default in ("auto", name)  # use_backend("torch") must not meet Triton
        return name if wanted and why_not(name, x, dynamics) is None else "unfused"
    reason = why_not(backend, x, dynamics)
    if reason is not None:
        raise InputError(Problem(f"the backend {backend!r} cannot run: {reason}", key="backend"))
    return backend


def _state_dtype(x: Tensor) -> torch.dtype:
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _check_vectors(x: Tensor, **vectors: Tensor | None) -> None:
    if x.dim() < 3:
        raise InputError(Problem(f"needs axes (T, B, C, ...), got shape {tuple(x.shape)}", key="x"))
    problems = [
        Problem(f"must be ({x.shape[2]},) on {x.device}, got {tuple(vector.shape)} on {vector.device}", key=name)
        for name, vector in vectors.items()
        if vector is not None and (vector.shape != x.shape[2:3] or vector.device != x.device)
    ]
    if problems:
        raise InputError(problems)
