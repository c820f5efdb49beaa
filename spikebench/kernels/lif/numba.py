"""Compiled by numba for the CPU at hand, vectorised, on as many threads as torch uses; needs no compiler installed."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif.reference import Tau

GRAIN = 65_536
"""Neurons times steps below which a second thread costs more than it saves."""
_NO_RUNS, _NO_NEURONS = np.zeros((0, 0), np.float32), np.zeros(0, np.float32)


class Backend:
    """float32, float16 and bfloat16 on the CPU, spikes bit-equal to the reference.

    The first call for a kind of neuron, surrogate and dtype compiles (about a second, and as much for the backward
    pass); numba keeps the code on disk for later processes. Works on any thread; gives the interpreter free while it
    runs.
    """

    def why_not(self, x: Tensor, dynamics: Dynamics, learned_tau: bool = False) -> str | None:
        """None, or: x is not on the CPU, is float64, is a tensor of another library's subclass, or numba cannot be
        imported.
        """
        if x.device.type != "cpu":
            return f"numba's kernel runs on the CPU, x is on {x.device}"
        if x.dtype not in (torch.float32, torch.bfloat16, torch.float16):
            return f"numba's kernel computes in float32, x is {x.dtype}: use torch or reference"
        if x.dtype == torch.float16 and not _converts_half():
            return "this CPU has no float16 conversion"
        return _import_problem()

    def forward(self, x: Tensor, dynamics: Dynamics, tau: Tau, spikes: Tensor) -> None:
        """Fill ``spikes`` (T, M) from ``x`` (T, M)."""
        from spikebench.kernels.lif import _numba_kernels as kernels

        tau = None if tau is None else float(tau)
        kind = kernels.leak_kind(tau)
        kernel = kernels.forward_kernel(dynamics, x.dtype, kind)
        out, numbers = _flat(spikes), _firing_numbers(dynamics, tau, kind, spikes)
        T, M = x.shape
        _on_threads(
            lambda start, stop: kernel(_flat(x), x.stride(0), out, T, M, start, stop, *numbers, 1, _NO_RUNS, _NO_NEURONS),
            T,
            M,
        )

    def forward_counted(self, x: Tensor, dynamics: Dynamics, tau: Tau, spikes: Tensor, by_run: Tensor, by_neuron: Tensor) -> None:
        """``forward``, and ``by_run`` (T, runs) and ``by_neuron`` (N,) counted from the same registers (``_counts.Counts``)."""
        from spikebench.kernels.lif import _numba_kernels as kernels

        tau = None if tau is None else float(tau)
        kind = kernels.leak_kind(tau)
        kernel = kernels.forward_kernel(dynamics, x.dtype, kind, counted=True)
        out, numbers = _flat(spikes), _firing_numbers(dynamics, tau, kind, spikes)
        T, M = x.shape
        run = M // by_run.shape[1]
        sums, parts = by_run.numpy(), [by_neuron.numpy()]
        sums.fill(0)
        parts[0].fill(0)

        def work(start: int, stop: int) -> None:
            # Its own: other threads have other samples of the same neurons.
            fired = np.zeros(len(by_neuron), np.float32) if start else parts[0]
            kernel(_flat(x), x.stride(0), out, T, M, start, stop, *numbers, run, sums, fired)
            if start:
                parts.append(fired)

        _on_threads(work, T, M, run)
        for fired in parts[1:]:
            parts[0] += fired

    def backward(self, x: Tensor, grad: Tensor, dynamics: Dynamics, tau: Tau, dx: Tensor) -> Tensor | None:
        """Fill ``dx`` (T, M) from ``grad`` (T, M); returns dL/dtau, 0-d float64, where ``tau`` is a tensor, else
        None.
        """
        from spikebench.kernels.lif import _numba_kernels as kernels

        learned = isinstance(tau, Tensor)
        tau = None if tau is None else float(tau)
        kind = kernels.leak_kind(tau)
        kernel = kernels.backward_kernel(dynamics, x.dtype, kind, learned)
        numbers = _numbers(dynamics, tau, kind)
        leak = np.float32(0.0 if tau is None else 1 / tau)
        options = tuple(np.float32(option) for option in dynamics.surrogate.arguments)
        T, M = x.shape
        parts: list[Any] = []  # list.append is atomic; float64 sums of a few parts do not mind their order much

        def run(start: int, stop: int) -> None:
            dtau = np.zeros(1)
            kernel(
                *(_flat(x), x.stride(0), _flat(grad), grad.stride(0), _flat(dx)),
                *(T, M, start, stop, *numbers, leak, options, dtau),
            )
            parts.append((start, dtau[0]))

        _on_threads(run, T, M)
        if not learned or tau is None:
            return None
        return torch.tensor(-sum(part for _, part in sorted(parts)) / tau, dtype=torch.float64)


_ONE = {torch.bfloat16: 0x3F80, torch.float16: 0x3C00}  # their spikes are written as bit patterns


def _flat(rows: Tensor) -> Any:
    """The memory of (T, M) rows as a flat array; half precision as uint16 bit patterns, since numpy has no bfloat16."""
    rows = rows.detach()
    flat = rows.as_strided((rows.stride(0) * (rows.shape[0] - 1) + rows.shape[1],), (1,))
    return (flat.view(torch.uint16) if flat.element_size() == 2 else flat).numpy()


def _numbers(dynamics: Dynamics, tau: float | None, kind: str) -> tuple[Any, ...]:
    rate = 1.0 if tau is None else 1 / tau if kind == "multiply" else tau
    return np.float32(rate), np.float32(dynamics.v_threshold), np.float32(dynamics.rest)


def _firing_numbers(dynamics: Dynamics, tau: float | None, kind: str, spikes: Tensor) -> tuple[Any, ...]:
    """``_numbers``, and a spike as the memory of ``spikes`` has it."""
    return *_numbers(dynamics, tau, kind), _flat(spikes).dtype.type(_ONE.get(spikes.dtype, 1))


def _on_threads(work: Callable[[int, int], None], T: int, M: int, unit: int = 64) -> None:
    """``work(start, stop)`` over 0..M in equal parts of whole ``unit``; the calling thread does the first.

    Units of 64 are whole cache lines, so that no two threads write one.
    """
    count = max(1, min(torch.get_num_threads(), T * M // GRAIN))
    share = -(-M // count)
    share = -(-share // unit) * unit
    starts = range(0, M, share)
    others = [_pool(os.getpid()).submit(work, start, min(start + share, M)) for start in starts[1:]]
    work(0, min(share, M))
    for other in others:
        other.result()


@cache
def _pool(pid: int) -> ThreadPoolExecutor:
    """One pool a process: threads do not survive a fork."""
    return ThreadPoolExecutor(max(1, (os.cpu_count() or 2) - 1), thread_name_prefix="spikebench-lif")


@cache
def _import_problem() -> str | None:
    try:
        import numba  # noqa: F401
    except Exception as error:  # an ImportError, or numba's own complaint about numpy's version
        return f"numba cannot be imported: {error}"
    return None


@cache
def _converts_half() -> bool:
    if platform.machine().lower() in ("arm64", "aarch64"):
        return True
    if _import_problem() is not None:
        return False
    from llvmlite import binding  # type: ignore[import-untyped, unused-ignore]

    return bool(binding.get_host_cpu_features().get("f16c", False))
