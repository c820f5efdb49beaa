"""Forward and backward kernels. A program owns BLOCK neurons for all T steps: the membrane never leaves the
registers.

Up to ``UNROLLED`` steps T is a constant of the kernel and every load is issued before the first store, so that a
program waits for memory once. Longer sequences run in a loop.
"""
# Triton's language is a part of Python: no conditional expressions over blocks, no unpacking, no types but its own.
# ruff: noqa: RUF005, SIM108
# mypy: disable-error-code="assignment, no-untyped-def"

from __future__ import annotations

import triton.language as tl

from spikebench.kernels._triton_math import back_step, charge, jit, leak_of, reset

UNROLLED = 32


@jit
def forward(
    x,
    spikes,
    x_row,
    M,
    tau,
    threshold,
    rest,
    T: tl.constexpr,
    LEAK: tl.constexpr,
    DECAY_INPUT: tl.constexpr,
    SOFT: tl.constexpr,
    LEARNED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Spikes (T, M) of ``x`` (T, M) whose rows are ``x_row`` apart; ``tau`` is a pointer where LEARNED."""
    offsets = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = offsets < M
    x_row = tl.full((), x_row, tl.int64)  # T rows may hold more than 2^31 elements
    row = tl.full((), M, tl.int64)
    if LEARNED:
        tau = tl.load(tau).to(tl.float32)
    xs = ()
    for t in tl.static_range(T):
        xs = xs + (tl.load(x + t * x_row + offsets, mask=inside),)
    v = tl.full((BLOCK,), rest, tl.float32)
    for t in tl.static_range(T):
        h = charge(v, xs[t].to(tl.float32), tau, rest, LEAK, DECAY_INPUT)
        s = tl.where(h >= threshold, 1.0, 0.0)
        tl.store(spikes + t * row + offsets, s.to(spikes.dtype.element_ty), mask=inside)
        v = reset(h, threshold, rest, SOFT)


@jit
def forward_loop(
    x,
    spikes,
    x_row,
    M,
    tau,
    threshold,
    rest,
    T,
    LEAK: tl.constexpr,
    DECAY_INPUT: tl.constexpr,
    SOFT: tl.constexpr,
    LEARNED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """``forward`` for any T."""
    offsets = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = offsets < M
    x_row = tl.full((), x_row, tl.int64)
    row = tl.full((), M, tl.int64)
    if LEARNED:
        tau = tl.load(tau).to(tl.float32)
    v = tl.full((BLOCK,), rest, tl.float32)
    for t in range(T):
        x_t = tl.load(x + t * x_row + offsets, mask=inside)
        h = charge(v, x_t.to(tl.float32), tau, rest, LEAK, DECAY_INPUT)
        s = tl.where(h >= threshold, 1.0, 0.0)
        tl.store(spikes + t * row + offsets, s.to(spikes.dtype.element_ty), mask=inside)
        v = reset(h, threshold, rest, SOFT)


@jit
def backward(
    x,
    grad,
    dx,
    dtau,
    x_row,
    grad_row,
    M,
    tau,
    threshold,
    rest,
    T: tl.constexpr,
    LEAK: tl.constexpr,
    DECAY_INPUT: tl.constexpr,
    SOFT: tl.constexpr,
    DETACH: tl.constexpr,
    LEARNED: tl.constexpr,
    GRADIENT: tl.constexpr,
    OPTIONS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """dL/dx (T, M); H is computed again from ``x``. Where LEARNED, ``dtau`` gets each program's part of -tau dL/dtau."""
    offsets = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = offsets < M
    x_row = tl.full((), x_row, tl.int64)
    grad_row = tl.full((), grad_row, tl.int64)
    row = tl.full((), M, tl.int64)
    if LEARNED:
        tau = tl.load(tau).to(tl.float32)
    xs = ()
    grads = ()
    for t in tl.static_range(T):
        xs = xs + (tl.load(x + t * x_row + offsets, mask=inside),)
    for t in tl.static_range(T):
        grads = grads + (tl.load(grad + t * grad_row + offsets, mask=inside),)
    v = tl.full((BLOCK,), rest, tl.float32)
    hs = ()
    for t in tl.static_range(T):
        h = charge(v, xs[t].to(tl.float32), tau, rest, LEAK, DECAY_INPUT)
        hs = hs + (h,)
        v = reset(h, threshold, rest, SOFT)
    leak = leak_of(tau, LEAK)
    carry = tl.full((BLOCK,), 0.0, tl.float32)
    along_tau = tl.full((BLOCK,), 0.0, tl.float32)
    for back in tl.static_range(T):
        h = hs[T - 1 - back]
        dh, share, carry = back_step(
            h, grads[T - 1 - back], carry, leak, threshold, rest, LEAK, DECAY_INPUT, SOFT, DETACH, GRADIENT, OPTIONS
        )
        if LEARNED:
            if back == T - 1:
                change = h - rest
            else:
                change = h - reset(hs[T - 2 - back], threshold, rest, SOFT)
            if not DECAY_INPUT:
                change = change - xs[T - 1 - back].to(tl.float32)
            along_tau += tl.where(inside, dh * change, 0.0)
        tl.store(dx + (T - 1 - back) * row + offsets, share.to(dx.dtype.element_ty), mask=inside)
    if LEARNED:
        tl.store(dtau + tl.program_id(0), tl.sum(along_tau, 0))


@jit
def backward_loop(
    x,
    grad,
    dx,
    dtau,
    x_row,
    grad_row,
    M,
    tau,
    threshold,
    rest,
    hs,
    T,
    LEAK: tl.constexpr,
    DECAY_INPUT: tl.constexpr,
    SOFT: tl.constexpr,
    DETACH: tl.constexpr,
    LEARNED: tl.constexpr,
    GRADIENT: tl.constexpr,
    OPTIONS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """``backward`` for any T: H goes through the scratch ``hs`` (T, M), float32, since registers cannot hold it."""
    offsets = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = offsets < M
    x_row = tl.full((), x_row, tl.int64)
    grad_row = tl.full((), grad_row, tl.int64)
    row = tl.full((), M, tl.int64)
    if LEARNED:
        tau = tl.load(tau).to(tl.float32)
    v = tl.full((BLOCK,), rest, tl.float32)
    for t in range(T):
        x_t = tl.load(x + t * x_row + offsets, mask=inside)
        h = charge(v, x_t.to(tl.float32), tau, rest, LEAK, DECAY_INPUT)
        tl.store(hs + t * row + offsets, h, mask=inside)
        v = reset(h, threshold, rest, SOFT)
    tl.debug_barrier()  # another thread of this program may read what this one wrote
    leak = leak_of(tau, LEAK)
    carry = tl.full((BLOCK,), 0.0, tl.float32)
    along_tau = tl.full((BLOCK,), 0.0, tl.float32)
    for back in range(T):
        t = T - 1 - back
        h = tl.load(hs + t * row + offsets, mask=inside)
        grad_t = tl.load(grad + t * grad_row + offsets, mask=inside)
        dh, share, carry = back_step(h, grad_t, carry, leak, threshold, rest, LEAK, DECAY_INPUT, SOFT, DETACH, GRADIENT, OPTIONS)
        if LEARNED:
            before = tl.load(hs + (t - 1) * row + offsets, mask=inside & (t > 0), other=0.0)
            change = h - tl.where(t > 0, reset(before, threshold, rest, SOFT), rest)
            if not DECAY_INPUT:
                change = change - tl.load(x + t * x_row + offsets, mask=inside).to(tl.float32)
            along_tau += tl.where(inside, dh * change, 0.0)
        tl.store(dx + t * row + offsets, share.to(dx.dtype.element_ty), mask=inside)
    if LEARNED:
        tl.store(dtau + tl.program_id(0), tl.sum(along_tau, 0))
