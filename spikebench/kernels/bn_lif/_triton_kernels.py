"""Kernels over tiles of BP positions x BC channels of one step; a program holds its tile for all T steps in
registers.

Statistics and gradients of BatchNorm are sums over positions: each program adds up its tiles and leaves one partial
sum a channel.
"""
# Triton's language is a part of Python: no conditional expressions over blocks, no unpacking, no types but its own.
# ruff: noqa: RUF005
# mypy: disable-error-code="assignment, no-untyped-def"

from __future__ import annotations

import triton.language as tl

from spikebench.kernels._triton_math import back_step, charge, jit, leak_of, reset


@jit
def tile(index, n, C, S: tl.constexpr, ALIGN: tl.constexpr, BP: tl.constexpr, BC: tl.constexpr):
    """Offsets into a step, and which of them exist, of the tile number ``index`` of this program's channels."""
    j = index * BP + tl.arange(0, BP)[:, None]
    c = tl.program_id(1) * BC + tl.arange(0, BC)[None, :]
    if S == 1:
        offsets = j.to(tl.int64) * C + c
    else:
        offsets = (j // S).to(tl.int64) * (C * S) + c * S + j % S
        offsets = tl.max_contiguous(tl.multiple_of(offsets, [ALIGN, 1]), [ALIGN, 1])
    return offsets, (j < n) & (c < C)


@jit
def of_channels(pointer, C, BC: tl.constexpr):
    """This program's channels of a (C,) vector, as a row."""
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    return tl.load(pointer + c, mask=c < C, other=0.0).to(tl.float32)[None, :]


@jit
def store_sums(partial, first, second, C, BC: tl.constexpr):
    """Row ``program_id(0)`` of partial sums (P, 2, C)."""
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    row = partial + tl.program_id(0).to(tl.int64) * 2 * C
    tl.store(row + c, tl.sum(first, 0), mask=c < C)
    tl.store(row + C + c, tl.sum(second, 0), mask=c < C)


@jit
def moments(
    x,
    partial,
    x_row,
    n,
    C,
    T: tl.constexpr,
    S: tl.constexpr,
    ALIGN: tl.constexpr,
    BP: tl.constexpr,
    BC: tl.constexpr,
):
    """Partial sums of d and d^2, d = x - pivot; the pivot, a channel's first number, keeps d^2 from cancelling."""
    x_row = tl.full((), x_row, tl.int64)
    c = tl.program_id(1) * BC + tl.arange(0, BC)
    pivot = tl.load(x + c * S, mask=c < C, other=0.0).to(tl.float32)[None, :]
    first = tl.full((BP, BC), 0.0, tl.float32)
    second = tl.full((BP, BC), 0.0, tl.float32)
    for index in range(tl.program_id(0), tl.cdiv(n, BP), tl.num_programs(0)):
        offsets, inside = tile(index, n, C, S, ALIGN, BP, BC)
        xs = ()
        for t in tl.static_range(T):
            xs = xs + (tl.load(x + t * x_row + offsets, mask=inside),)
        for t in tl.static_range(T):
            d = tl.where(inside, xs[t].to(tl.float32) - pivot, 0.0)
            first += d
            second += d * d
    store_sums(partial, first, second, C, BC)


@jit
def finish_moments(x, partial, mean, variance, P, count, C, S: tl.constexpr, ROWS: tl.constexpr, BC: tl.constexpr):
    """Mean and biased variance (C,) from the partial sums of ``moments`` over ``count`` numbers."""
    c = tl.program_id(0) * BC + tl.arange(0, BC)
    rows = tl.arange(0, ROWS)[:, None]
    first = tl.full((ROWS, BC), 0.0, tl.float32)
    second = tl.full((ROWS, BC), 0.0, tl.float32)
    for start in range(0, P, ROWS):
        inside = (start + rows < P) & (c[None, :] < C)
        at = partial + (start + rows).to(tl.int64) * 2 * C + c[None, :]
        first += tl.load(at, mask=inside, other=0.0)
        second += tl.load(at + C, mask=inside, other=0.0)
    shift = tl.sum(first, 0) / count
    tl.store(mean + c, tl.load(x + c * S, mask=c < C, other=0.0).to(tl.float32) + shift, mask=c < C)
    tl.store(variance + c, tl.maximum(tl.sum(second, 0) / count - shift * shift, 0.0), mask=c < C)


@jit
def forward(
    x,
    spikes,
    scale,
    shift,
    x_row,
    M,
    n,
    C,
    tau,
    threshold,
    rest,
    T: tl.constexpr,
    LEAK: tl.constexpr,
    DECAY_INPUT: tl.constexpr,
    SOFT: tl.constexpr,
    S: tl.constexpr,
    ALIGN: tl.constexpr,
    BP: tl.constexpr,
    BC: tl.constexpr,
):
    """Spikes (T, M) of y = x scale + shift; y is nowhere in memory."""
    x_row = tl.full((), x_row, tl.int64)
    row = tl.full((), M, tl.int64)
    offsets, inside = tile(tl.program_id(0), n, C, S, ALIGN, BP, BC)
    a = of_channels(scale, C, BC)
    b = of_channels(shift, C, BC)
    xs = ()
    for t in tl.static_range(T):
        xs = xs + (tl.load(x + t * x_row + offsets, mask=inside),)
    v = tl.full((BP, BC), rest, tl.float32)
    for t in tl.static_range(T):
        h = charge(v, xs[t].to(tl.float32) * a + b, tau, rest, LEAK, DECAY_INPUT)
        s = tl.where(h >= threshold, 1.0, 0.0)
        tl.store(spikes + t * row + offsets, s.to(spikes.dtype.element_ty), mask=inside)
        v = reset(h, threshold, rest, SOFT)


@jit
def backward_of_step(
    x,
    grad,
    offsets,
    inside,
    a,
    b,
    x_row,
    grad_row,
    tau,
    threshold,
    rest,
    T: tl.constexpr,
    LEAK: tl.constexpr,
    DECAY_INPUT: tl.constexpr,
    SOFT: tl.constexpr,
    DETACH: tl.constexpr,
    GRADIENT: tl.constexpr,
    OPTIONS: tl.constexpr,
):
    """One tile's x and dL/dy, as tuples over t, the second from the last step to the first; both in registers."""
    xs = ()
    grads = ()
    for t in tl.static_range(T):
        xs = xs + (tl.load(x + t * x_row + offsets, mask=inside, other=0.0),)
    for t in tl.static_range(T):
        grads = grads + (tl.load(grad + t * grad_row + offsets, mask=inside, other=0.0),)
    v = tl.full(offsets.shape, rest, tl.float32)
    hs = ()
    for t in tl.static_range(T):
        h = charge(v, xs[t].to(tl.float32) * a + b, tau, rest, LEAK, DECAY_INPUT)
        hs = hs + (h,)
        v = reset(h, threshold, rest, SOFT)
    leak = leak_of(tau, LEAK)
    carry = tl.full(offsets.shape, 0.0, tl.float32)
    dys = ()
    for back in tl.static_range(T):
        h = hs[T - 1 - back]
        _dh, share, carry = back_step(
            h, grads[T - 1 - back], carry, leak, threshold, rest, LEAK, DECAY_INPUT, SOFT, DETACH, GRADIENT, OPTIONS
        )
        dys = dys + (share,)
    return xs, dys


@jit
def backward_sums(
    x,
    grad,
    scale,
    shift,
    mean,
    inverse,
    partial,
    x_row,
    grad_row,
    n,
    C,
    tau,
    threshold,
    rest,
    T: tl.constexpr,
    LEAK: tl.constexpr,
    DECAY_INPUT: tl.constexpr,
    SOFT: tl.constexpr,
    DETACH: tl.constexpr,
    GRADIENT: tl.constexpr,
    OPTIONS: tl.constexpr,
    S: tl.constexpr,
    ALIGN: tl.constexpr,
    BP: tl.constexpr,
    BC: tl.constexpr,
):
    """Partial sums of dy and dy xhat."""
    x_row = tl.full((), x_row, tl.int64)
    grad_row = tl.full((), grad_row, tl.int64)
    a = of_channels(scale, C, BC)
    b = of_channels(shift, C, BC)
    m = of_channels(mean, C, BC)
    r = of_channels(inverse, C, BC)
    first = tl.full((BP, BC), 0.0, tl.float32)
    second = tl.full((BP, BC), 0.0, tl.float32)
    for index in range(tl.program_id(0), tl.cdiv(n, BP), tl.num_programs(0)):
        offsets, inside = tile(index, n, C, S, ALIGN, BP, BC)
        xs, dys = backward_of_step(
            x, grad, offsets, inside, a, b, x_row, grad_row, tau, threshold, rest,
            T, LEAK, DECAY_INPUT, SOFT, DETACH, GRADIENT, OPTIONS,
        )  # fmt: skip
        for t in tl.static_range(T):
            dy = tl.where(inside, dys[T - 1 - t], 0.0)
            first += dy
            second += dy * ((xs[t].to(tl.float32) - m) * r)
    store_sums(partial, first, second, C, BC)


@jit
def backward(
    x,
    grad,
    dx,
    scale,
    shift,
    mean,
    inverse,
    mean_dy,
    mean_dy_xhat,
    x_row,
    grad_row,
    M,
    n,
    C,
    tau,
    threshold,
    rest,
    T: tl.constexpr,
    LEAK: tl.constexpr,
    DECAY_INPUT: tl.constexpr,
    SOFT: tl.constexpr,
    DETACH: tl.constexpr,
    GRADIENT: tl.constexpr,
    OPTIONS: tl.constexpr,
    S: tl.constexpr,
    ALIGN: tl.constexpr,
    BP: tl.constexpr,
    BC: tl.constexpr,
):
    """dL/dx = scale (dy - mean(dy) - xhat mean(dy xhat)); dy is computed a second time, since storing it would cost
    more.
    """
    x_row = tl.full((), x_row, tl.int64)
    grad_row = tl.full((), grad_row, tl.int64)
    row = tl.full((), M, tl.int64)
    a = of_channels(scale, C, BC)
    b = of_channels(shift, C, BC)
    m = of_channels(mean, C, BC)
    r = of_channels(inverse, C, BC)
    u = of_channels(mean_dy, C, BC)
    w = of_channels(mean_dy_xhat, C, BC)
    offsets, inside = tile(tl.program_id(0), n, C, S, ALIGN, BP, BC)
    xs, dys = backward_of_step(
        x, grad, offsets, inside, a, b, x_row, grad_row, tau, threshold, rest,
        T, LEAK, DECAY_INPUT, SOFT, DETACH, GRADIENT, OPTIONS,
    )  # fmt: skip
    for t in tl.static_range(T):
        xhat = (xs[t].to(tl.float32) - m) * r
        out = a * (dys[T - 1 - t] - u - xhat * w)
        tl.store(dx + t * row + offsets, out.to(dx.dtype.element_ty), mask=inside)
