"""What every neuron layer is, whoever computes it."""

from __future__ import annotations

from torch import Tensor, nn

from spikebench.core.values import BINARY, Values, declare
from spikebench.kernels.surrogates import Formula
from spikebench.networks.rates import note_rate


class SpikingNeuron(nn.Module):
    """Base of all neurons. A subclass writes ``fire`` ; made as ``Neuron(options, surrogate=, channels=, T=, v_threshold=)``.

    ``emits``: what the output holds. ``fixed_steps``: the number of steps that it has parameters for, None if it takes any.
    ``mixes_samples``: what one sample does reaches others. ``channels``: the size of axis 2 of its input. ``v_threshold``
    overrides the options' where the architecture asks for another (0.5 after an attention product); a neuron whose threshold is
    learned starts there.
    """

    emits: Values = BINARY
    fixed_steps: int | None = None
    mixes_samples: bool = False

    def forward(self, x: Tensor) -> Tensor:
        """Spikes (T, B, C, ...) from currents of the same shape; state starts from rest."""
        spikes = self.fire(x)
        note_rate(spikes)
        return declare(spikes, self.emits)

    def fire(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def steps_problem(self, T: int) -> str | None:
        """Why this many steps cannot be evaluated, or None."""
        if self.fixed_steps in (None, T):
            return None
        return f"the neuron has parameters for each of {self.fixed_steps} steps, T = {T} is another network"


class KernelNeuron(SpikingNeuron):
    """A neuron that ``spikebench.kernels.lif`` computes; ``v_threshold`` and ``surrogate`` as it uses them."""

    def __init__(self, v_threshold: float, surrogate: Formula) -> None:
        super().__init__()
        self.v_threshold = v_threshold
        self.surrogate = surrogate

    def extra_repr(self) -> str:
        return f"v_threshold={self.v_threshold}, surrogate={self.surrogate}"
