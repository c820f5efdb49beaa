"""Plain torch, step by step from the equations: the oracle of every other backend, on any device, in float64 too."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeGuard

import torch
from torch import Tensor

from spikebench.kernels.dynamics import Dynamics

Tau = Tensor | float | None
Step = Callable[[Tensor, Dynamics], Tensor]


class Backend:
    """Runs anywhere. Written for comparison, not for speed: nothing is fused and every membrane potential is kept."""

    fused = False

    def why_not(self, x: Tensor, dynamics: Dynamics, learned_tau: bool = False) -> str | None:
        """None: it runs for every floating-point ``x`` on every device."""
        return None

    def forward(self, x: Tensor, dynamics: Dynamics, tau: Tau, spikes: Tensor) -> None:
        """Fill ``spikes`` (T, ...) from the input current ``x`` (T, ...)."""
        spikes.copy_(fire(membrane(x, dynamics, tau), dynamics))

    def backward(self, x: Tensor, grad: Tensor, dynamics: Dynamics, tau: Tau, dx: Tensor) -> Tensor | None:
        """Fill ``dx`` from dL/dS ``grad`` (T, ...); returns dL/dtau, a 0-d tensor, where ``tau`` is a tensor, else
        None.
        """
        exact, dtau = gradients(x, grad, dynamics, tau)
        dx.copy_(exact)
        return dtau


def membrane(x: Tensor, dynamics: Dynamics, tau: Tau, step: Step | None = None) -> Tensor:
    """H (T, ...), the membrane potential before reset: float32, or float64 for a float64 ``x``.

    ``step``: another step function than ``fire``, for the smoothed problem that finite differences need.
    """
    step = step or fire
    x = x.to(state_dtype(x.dtype))
    rest = dynamics.rest
    tau = divisor(tau, x)
    v = torch.full_like(x[0], rest)
    hs = []
    for x_t in x:
        if tau is None:
            h = v + x_t
        elif dynamics.decay_input:
            h = v + (x_t - (v - rest)) / tau
        else:
            h = v - (v - rest) / tau + x_t
        hs.append(h)
        v = reset(h, step(h, dynamics), dynamics)
    return torch.stack(hs)


def reset(h: Tensor, s: Tensor, dynamics: Dynamics) -> Tensor:
    """V, the membrane potential after reset, from H and S (which the smoothed problem lets lie between 0 and 1)."""
    if dynamics.soft:
        return h - s * dynamics.v_threshold
    # The where matters at infinity alone: 0 * inf would leave NaN where the neuron must come back to rest.
    return torch.where(s == 1, dynamics.rest, s * dynamics.rest + (1 - s) * h)


def fire(h: Tensor, dynamics: Dynamics) -> Tensor:
    """The step function: 1 at and above the threshold, else 0, and 0 for NaN."""
    return (h >= dynamics.v_threshold).to(h.dtype)


def gradients(x: Tensor, grad: Tensor, dynamics: Dynamics, tau: Tau, step: Step | None = None) -> tuple[Tensor, Tensor | None]:
    """dL/dx (T, ...) and dL/dtau (None for a fixed tau) by back-propagation through time, written out.

    With z = H - v_threshold, g the surrogate's gradient and A = dL/dV[t], for t = T-1..0::

        dV/dH = 1 (soft, detached) | 1 - v_threshold g (soft) | 1 - S (hard, detached) | 1 - S + (r - H) g (hard)
        dL/dH = dL/dS[t] g + A dV/dH
        dL/dX = dL/dH / tau (decay_input) or dL/dH;   A = dL/dH (1 - 1/tau)
    """
    step = step or fire
    hs = membrane(x, dynamics, tau, step)
    x = x.to(hs.dtype)
    grad = grad.to(hs.dtype)
    rest, threshold = dynamics.rest, dynamics.v_threshold
    learned = isinstance(tau, Tensor)
    tau = divisor(tau, x)
    dx = torch.empty_like(hs)
    dtau = torch.zeros_like(hs[0])
    a = torch.zeros_like(hs[0])
    for t in reversed(range(len(hs))):
        h = hs[t]
        s = step(h, dynamics)
        g = surrogate_gradient(h - threshold, dynamics)
        if dynamics.soft:
            dv_dh = torch.ones_like(h) if dynamics.detach_reset else 1 - threshold * g
        else:
            dv_dh = 1 - s if dynamics.detach_reset else 1 - s + (rest - h) * g
        dh = grad[t] * g + a * dv_dh
        if tau is None:
            dx[t] = a = dh
            continue
        dx[t] = dh / tau if dynamics.decay_input else dh
        a = dh - dh / tau
        if learned:
            v = torch.full_like(h, rest) if t == 0 else reset(hs[t - 1], step(hs[t - 1], dynamics), dynamics)
            leak = (x[t] - (v - rest)) if dynamics.decay_input else -(v - rest)
            dtau = dtau - dh * leak / (tau * tau)
    return dx, dtau.sum() if learned else None


def surrogate_gradient(z: Tensor, dynamics: Dynamics) -> Tensor:
    """g(z), elementwise, in z's dtype."""
    return torch_equation(dynamics, "gradient")(z, *dynamics.surrogate.arguments)


def torch_equation(dynamics: Dynamics, equation: str) -> Callable[..., Tensor]:
    """The surrogate's ``gradient`` or ``primitive`` on tensors."""
    return dynamics.surrogate.bind(equation, TORCH)


TORCH = {
    "absolute": torch.abs,
    "atan": torch.atan,
    "erf": torch.erf,
    "exp": torch.exp,
    "sigmoid": torch.sigmoid,
    "where": torch.where,
}


def state_dtype(dtype: torch.dtype) -> torch.dtype:
    """Half precision integrates in float32: a membrane of 8 bits would forget small inputs."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def divisor(tau: Tau, x: Tensor) -> Tensor | None:
    """``tau`` as a 0-d tensor beside ``x``: CUDA divides by a Python number through its reciprocal, which is another
    rounding.
    """
    if tau is None:
        return None
    if isinstance(tau, Tensor):
        return tau.to(x.dtype)
    return torch.full((), tau, dtype=x.dtype, device=x.device)


def is_power_of_two(tau: Tau) -> TypeGuard[float]:
    """Whether dividing by this number is the same, to the bit, as multiplying by its reciprocal."""
    return isinstance(tau, float) and math.frexp(tau)[0] == 0.5
