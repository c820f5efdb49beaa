"""The LIF neuron over T steps, by several backends that agree to the bit; a file's name is its backend's name."""

from spikebench.kernels.lif._api import integrate_and_fire, lif, which_backend
from spikebench.kernels.lif._choice import explain, use_backend

__all__ = ["explain", "integrate_and_fire", "lif", "use_backend", "which_backend"]
