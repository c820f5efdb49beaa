"""Plain torch from the equations, float64-able: the oracle. It keeps the normalised input and every membrane."""

from __future__ import annotations

import torch
from torch import Tensor

from spikebench.kernels.bn_lif._channels import Channels
from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif import reference as lif


class Backend:
    """Runs anywhere."""

    def why_not(self, x: Tensor, dynamics: Dynamics) -> str | None:
        """None: it always can."""
        return None

    def statistics(self, x: Tensor, channels: Channels) -> tuple[Tensor, Tensor]:
        """Mean and biased variance of each channel over steps, batch and space: (C,) each, in the state's dtype."""
        folded = channels.split(x).to(lif.state_dtype(x.dtype))
        variance, mean = torch.var_mean(folded, dim=channels.all_but_channels, correction=0)
        return mean, variance

    def forward(self, x: Tensor, channels: Channels, affine: tuple[Tensor, Tensor], dynamics: Dynamics, spikes: Tensor) -> None:
        """Fill ``spikes`` (T, M) with LIF(x scale + shift); ``affine``: scale and shift of each channel."""
        y = normalised(x, channels, affine)
        spikes.copy_(lif.fire(lif.membrane(y, dynamics, dynamics.tau), dynamics))

    def backward_sums(
        self,
        x: Tensor,
        grad: Tensor,
        channels: Channels,
        affine: tuple[Tensor, Tensor],
        moments: tuple[Tensor, Tensor],
        dynamics: Dynamics,
        dy: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """dL/dbias = sum dy and dL/dweight = sum dy xhat, (C,) each, with dy = dL/dy and xhat the input before weight
        and bias. ``dy``: memory (T, M) in which a backend may leave dy; ``backward`` is given it as ``dx``.
        """
        dy = channels.split(self._dy(x, grad, channels, affine, dynamics))
        axes = channels.all_but_channels
        return dy.sum(axes), (dy * channels.split(_standardised(x, channels, moments))).sum(axes)

    def backward(
        self,
        x: Tensor,
        grad: Tensor,
        channels: Channels,
        affine: tuple[Tensor, Tensor],
        moments: tuple[Tensor, Tensor],
        means: tuple[Tensor, Tensor],
        dynamics: Dynamics,
        dx: Tensor,
    ) -> None:
        """Fill ``dx`` (T, M) with scale (dy - mean(dy) - xhat mean(dy xhat)); ``means``: these two, 0 for fixed
        statistics.
        """
        dy = channels.split(self._dy(x, grad, channels, affine, dynamics))
        xhat = channels.split(_standardised(x, channels, moments))
        mean_dy, mean_dy_xhat = (channels.spread(mean.to(dy.dtype)) for mean in means)
        scale = channels.spread(affine[0].to(dy.dtype))
        dx.copy_(channels.join(scale * (dy - mean_dy - xhat * mean_dy_xhat)))

    def _dy(self, x: Tensor, grad: Tensor, channels: Channels, affine: tuple[Tensor, Tensor], dynamics: Dynamics) -> Tensor:
        return lif.gradients(normalised(x, channels, affine), grad, dynamics, dynamics.tau)[0]


def normalised(x: Tensor, channels: Channels, affine: tuple[Tensor, Tensor]) -> Tensor:
    """y = x scale + shift (T, M): two roundings, in the state's dtype."""
    y = channels.split(x).to(lif.state_dtype(x.dtype))
    scale, shift = (channels.spread(values.to(y.dtype)) for values in affine)
    return channels.join(y * scale + shift)


def _standardised(x: Tensor, channels: Channels, moments: tuple[Tensor, Tensor]) -> Tensor:
    """xhat = (x - mean) / standard deviation (T, M); ``moments``: mean and 1 / standard deviation of each channel."""
    xhat = channels.split(x).to(lif.state_dtype(x.dtype))
    mean, inverse = (channels.spread(values.to(xhat.dtype)) for values in moments)
    return channels.join((xhat - mean) * inverse)
