"""SpikingJelly's neurons as layers of ours: reset before each call, our surrogates, all T steps at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from spikingjelly.activation_based import base, surrogate
from torch import Tensor, nn

from spikebench.core.values import BINARY, Values
from spikebench.kernels.lif.reference import TORCH
from spikebench.kernels.surrogates import Formula
from spikebench.networks.neurons._base import SpikingNeuron


class SpikingJellyNeuron(SpikingNeuron):
    """Holds one of SpikingJelly's nodes in multi-step mode as ``node``; runs in SpikingJelly's own loop over steps."""

    def __init__(self, node: nn.Module, emits: Values = BINARY, fixed_steps: int | None = None) -> None:
        super().__init__()
        self.node = node
        self.emits = emits
        self.fixed_steps = fixed_steps

    def fire(self, x: Tensor) -> Tensor:
        if isinstance(self.node, base.MemoryModule):
            self.node.reset()
        spikes: Tensor = self.node(x)
        if isinstance(self.node, base.MemoryModule):
            self.node.reset()  # or the graph of this call would live on in its state
        return spikes


class FormulaSurrogate(surrogate.SurrogateFunctionBase):  # type: ignore[misc] # SpikingJelly is untyped
    """A surrogate of ours in SpikingJelly's place for one: steps at z >= 0 and passes the formula's gradient back."""

    def __init__(self, formula: Formula) -> None:
        super().__init__(spiking=True)
        self.formula = formula
        self.gradient = formula.bind("gradient", TORCH)

    def forward(self, x: Tensor) -> Tensor:
        stepped: Tensor = _Step.apply(x, self.gradient, self.formula.arguments)
        return stepped


class _Step(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, gradient: Callable[..., Tensor], arguments: tuple[float, ...]) -> Tensor:
        ctx.save_for_backward(z)
        ctx.gradient, ctx.arguments = gradient, arguments
        return (z >= 0).to(z)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        (z,) = ctx.saved_tensors
        return grad * ctx.gradient(z, *ctx.arguments), None, None
