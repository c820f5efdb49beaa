"""The LIF neuron over T steps, by several backends that agree to the bit; a file's name is its backend's name."""

from spikebench.kernels.lif._api import integrate_and_fire, lif, which_backend
from spikebench.kernels.lif._choice import explain, use_backend
from spikebench.kernels.lif._counts import Counts, counting_spikes
from spikebench.kernels.lif._op import DIRECT

__all__ = ["DIRECT", "Counts", "counting_spikes", "explain", "integrate_and_fire", "lif", "use_backend", "which_backend"]
