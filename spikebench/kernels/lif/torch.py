"""Plain torch in blocks that stay in the cache: nothing to compile, on any device that torch has."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif.reference import Tau, divisor, is_power_of_two, state_dtype, surrogate_gradient

BLOCK = 32_768
"""Neurons a block and thread: a few float32 rows of it fit a core's second-level cache, and a call of an operator is
amortised.
"""


class Backend:
    """All T steps of one block of neurons before the next block; spikes bit-equal to the reference.

    The membrane is kept negated (U = -V and -H), which no rounding notices: then torch's ``threshold_``, which
    replaces values at or below a threshold, is a hard reset at "fires at and above", in one pass and safe at
    infinity.
    """

    def why_not(self, x: Tensor, dynamics: Dynamics, learned_tau: bool = False) -> str | None:
        """None: it runs for every floating-point ``x`` on every device."""
        return None

    def forward(self, x: Tensor, dynamics: Dynamics, tau: Tau, spikes: Tensor) -> None:
        """Fill ``spikes`` (T, M) from the input current ``x`` (T, M)."""
        for block in _blocks(x):
            xs = x[:, block].to(state_dtype(x.dtype))
            leak = _Leak(tau, xs)
            u = torch.full_like(xs[0], -dynamics.rest)
            scratch, s = torch.empty_like(u), torch.empty_like(u)
            for t, x_t in enumerate(xs):
                _charge(u, x_t, scratch, dynamics, leak, out=u)
                row = spikes[t, block]
                if row.dtype == u.dtype:
                    s = row  # written in place: a comparison into another dtype leaves torch's vectorised path
                torch.le(u, -dynamics.v_threshold, out=s)
                if s is not row:
                    row.copy_(s)
                _reset(u, s, dynamics, out=u)

    def backward(self, x: Tensor, grad: Tensor, dynamics: Dynamics, tau: Tau, dx: Tensor) -> Tensor | None:
        """Fill ``dx`` (T, M) from dL/dS ``grad`` (T, M); returns dL/dtau, 0-d float64, where ``tau`` is a tensor,
        else None.
        """
        dtau = torch.zeros((), dtype=torch.float64, device=x.device) if isinstance(tau, Tensor) else None
        for block in _blocks(x):
            xs = x[:, block].to(state_dtype(x.dtype))
            out = dx[:, block] if dx.dtype == xs.dtype else torch.empty_like(xs)
            part = _backward(xs, grad[:, block].to(xs.dtype), dynamics, tau, out)
            if dtau is not None:
                dtau += part
            if dx.dtype != xs.dtype:
                dx[:, block].copy_(out)
        return dtau


class _Leak:
    """Division by tau, rounded as IEEE division: by multiplication only where the reciprocal is exact."""

    def __init__(self, tau: Tau, like: Tensor) -> None:
        self.tau = divisor(tau, like)
        self.reciprocal = 1 / tau if is_power_of_two(tau) else None
        self.share: float | Tensor = 0.0 if self.tau is None else 1 / (tau if isinstance(tau, float) else self.tau)

    def subtract(self, u: Tensor, w: Tensor, out: Tensor) -> Tensor:
        """``out`` = u - w / tau; ``w`` is overwritten."""
        assert self.tau is not None
        if self.reciprocal is not None:
            return torch.sub(u, w, alpha=self.reciprocal, out=out)  # the product is exact, so one operation rounds once
        return torch.sub(u, w.div_(self.tau), out=out)


def _charge(u: Tensor, x_t: Tensor, scratch: Tensor, dynamics: Dynamics, leak: _Leak, out: Tensor) -> None:
    """``out`` = -H[t] from ``u`` = -V[t-1]; ``out`` may be ``u``."""
    if leak.tau is None:
        torch.sub(u, x_t, out=out)
    elif dynamics.decay_input:
        shifted = torch.add(u, dynamics.rest, out=scratch) if dynamics.rest else u
        leak.subtract(u, torch.add(shifted, x_t, out=scratch), out=out)
    else:
        leak.subtract(u, torch.add(u, dynamics.rest, out=scratch), out=out).sub_(x_t)


def _reset(h: Tensor, s: Tensor, dynamics: Dynamics, out: Tensor) -> None:
    """``out`` = -V[t] from ``h`` = -H[t]; ``out`` may be ``h``."""
    if dynamics.soft:
        torch.add(h, s, alpha=dynamics.v_threshold, out=out)
    else:
        torch.threshold(h, -dynamics.v_threshold, -dynamics.rest, out=out)


def _backward(xs: Tensor, grad: Tensor, dynamics: Dynamics, tau: Tau, dx: Tensor) -> Tensor:
    """Fill ``dx``; returns dL/dtau of this block (0 for a fixed tau). Equations: ``reference.gradients``."""
    rest, threshold = dynamics.rest, dynamics.v_threshold
    leak = _Leak(tau, xs)
    u = torch.full_like(xs[0], -rest)
    us, hs = torch.empty_like(xs), torch.empty_like(xs)  # -V[t-1] and -H[t]: recomputed, not saved
    scratch, s = torch.empty_like(u), torch.empty_like(u)
    learned = isinstance(tau, Tensor)
    for t, x_t in enumerate(xs):
        if learned:
            us[t] = u
        _charge(u, x_t, scratch, dynamics, leak, out=hs[t])
        if dynamics.soft:
            torch.le(hs[t], -threshold, out=s)
        _reset(hs[t], s, dynamics, out=u)
    dtau = torch.zeros((), dtype=torch.float64, device=xs.device)
    carry: Tensor | None = None  # dL/dV[t]
    minus_threshold = torch.full((), -threshold, dtype=xs.dtype, device=xs.device)
    for t in reversed(range(len(xs))):
        h, dh = hs[t], dx[t]
        g = surrogate_gradient(torch.sub(minus_threshold, h, out=scratch), dynamics)
        torch.mul(grad[t], g, out=dh)
        if carry is not None:
            dh.add_(_through_reset(carry, h, g, s, dynamics))
        if tau is None:
            carry = u.copy_(dh)
        else:
            carry = torch.mul(dh, 1 - leak.share, out=u)
            if learned:
                change = us[t] - h if dynamics.decay_input else us[t] - h - xs[t]  # -tau dH/dtau
                dtau -= (dh * change).sum(dtype=torch.float64) / tau
            if dynamics.decay_input:
                dh.mul_(leak.share)
    return dtau


def _through_reset(carry: Tensor, h: Tensor, g: Tensor, s: Tensor, dynamics: Dynamics) -> Tensor:
    """dL/dV[t] dV/dH[t], in ``carry``'s place; ``h`` is -H."""
    if dynamics.soft:
        return carry if dynamics.detach_reset else carry.mul_(1 - dynamics.v_threshold * g)
    torch.gt(h, -dynamics.v_threshold, out=s)  # 1 - S
    if not dynamics.detach_reset:
        s.addcmul_(h + dynamics.rest, g)
    return carry.mul_(s)


def _blocks(x: Tensor) -> Iterator[slice]:
    """Column slices of ``x`` (T, M). A device other than the CPU hides no cache from us: one block."""
    size = BLOCK * torch.get_num_threads() if x.device.type == "cpu" else max(x.shape[1], 1)
    for start in range(0, x.shape[1], size):
        yield slice(start, start + size)
