"""BatchNorm and LIF in one: what every layer of a spiking transformer computes after its convolution."""

from spikebench.kernels.bn_lif._api import bn_lif, can_fuse, why_not

__all__ = ["bn_lif", "can_fuse", "why_not"]
