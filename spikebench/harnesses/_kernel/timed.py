"""One LIF, or a copy, made ready to be called again and again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import VariantSpec
from spikebench.harnesses._kernel.points import Point, Way
from spikebench.harnesses._timing.outcome import UnavailableError
from spikebench.harnesses._ways import spikingjelly
from spikebench.harnesses._ways.contender import DTYPES, no_compiler
from spikebench.harnesses._ways.ways import COMPILED, OURS, SPIKINGJELLYS
from spikebench.kernels.lif import lif, which_backend
from spikebench.kernels.surrogates import resolve
from spikebench.networks.neurons.lif import Neuron


class Timed:
    """What a race asks of a contender."""

    device: torch.device

    def __call__(self) -> Tensor:
        """Run once; on a GPU it returns when the work is queued."""
        raise NotImplementedError

    def synchronize(self) -> None:
        """Wait for what is queued."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class Copy(Timed):
    """``x`` into memory that is there already."""

    def __init__(self, x: Tensor) -> None:
        self.device = x.device
        self.x, self.twin = x, torch.zeros_like(x)

    def __call__(self) -> Tensor:
        return self.twin.copy_(self.x)


class Lif(Timed):
    """``way`` of computing the spikes of ``x`` (T, ...), or dL/dx from dL/dS = ``grad``.

    Nothing is cast: the input's dtype is the spikes'. Raises UnavailableError where this machine cannot compute it that way.
    """

    def __init__(self, neuron: Neuron, way: Way, x: Tensor, grad: Tensor) -> None:
        self.device = x.device
        self.way = way
        self.x, self.leaf, self.grad = x, x.detach().requires_grad_(), grad
        self.fire, self.implementation = (_theirs if way.backend in SPIKINGJELLYS else _ours)(neuron, way.backend, x)

    def __call__(self) -> Tensor:
        if self.way.phase == "forward":
            return self.spikes()
        with self._limits():
            return torch.autograd.grad(self.fire(self.leaf), self.leaf, self.grad)[0]

    def spikes(self) -> Tensor:
        """Of one forward pass that keeps nothing for a backward pass."""
        with self._limits(), torch.inference_mode():
            return self.fire(self.x)

    def _limits(self) -> AbstractContextManager[Any]:
        """Past its limit the compiler falls back to eager in silence; a sweep has more shapes and dtypes than it allows."""
        if self.way.backend != COMPILED:
            return nullcontext()
        patch: AbstractContextManager[Any] = torch._dynamo.config.patch(recompile_limit=256, fail_on_recompile_limit_hit=True)
        return patch


def neuron_of(spec: VariantSpec, point: Point, device: torch.device) -> Neuron:
    """The variant's neuron with its surrogate. Raises UnavailableError if it is another neuron than LIF."""
    member = REGISTRIES["neurons"].get(spec.neuron.name)
    if member is not Neuron:
        raise UnavailableError(f"the variant's neuron is {spec.neuron.name!r}; this benchmark is of 'lif'")
    channels = point.shape[2] if len(point.shape) > 2 else 1
    neuron = Neuron(spec.neuron.resolve("neurons"), surrogate=resolve(spec.surrogate), channels=channels, T=point.shape[0])
    neuron.to(device)
    return neuron


def inputs_of(point: Point, device: torch.device) -> tuple[Tensor, Tensor]:
    """x and dL/dS, normal with variance 1, the same for every backend on one kind of device."""
    dtype = DTYPES.get(point.dtype, torch.float32)
    generator = torch.Generator(device).manual_seed(0)
    x, grad = (torch.randn(point.shape, dtype=dtype, device=device, generator=generator) for _ in range(2))
    return x, grad


def _ours(neuron: Neuron, backend: str, x: Tensor) -> tuple[Callable[[Tensor], Tensor], str]:
    o = neuron.options
    parameters = (o.tau, neuron.v_threshold, o.v_reset, o.decay_input, o.detach_reset, neuron.surrogate)
    try:
        name = which_backend(x, *parameters, backend="auto" if backend == OURS else backend)
    except InputError as error:
        raise UnavailableError("; ".join(problem.message for problem in error.problems)) from error
    return lambda x: lif(x, *parameters, backend=name), name


def _theirs(neuron: Neuron, backend: str, x: Tensor) -> tuple[Callable[[Tensor], Tensor], str]:
    compiled = backend == COMPILED
    reason = spikingjelly.why_not(neuron) or (no_compiler(x.device.type == "cuda") if compiled else None)
    if reason:
        raise UnavailableError(reason)
    name = "torch.compile" if compiled else spikingjelly.implementation(x.device)
    return spikingjelly.SpikingJellyLIF(neuron, compiled).fire, f"SpikingJelly's {name}"
