"""SPS that pools before the neuron: conv-BN-pool-LIF, so that gradients pass the maximum (CML, arXiv 2305.05954)."""

from __future__ import annotations

from spikebench.networks.stems.sps import Stem as SpikingPatchSplitting


class Stem(SpikingPatchSplitting):
    """As ``sps`` in all else. The pooling sees real values."""

    order = "conv norm pool neuron"
