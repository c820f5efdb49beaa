"""One stage of a convolutional stem: the papers' stems differ in the order of the same four layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from spikebench.networks import fused
from spikebench.networks.context import Context
from spikebench.networks.layers import BatchNorm2d, Conv2d, max_pool

Layer = Literal["conv", "norm", "neuron", "pool"]


class Stage(nn.Module):
    """``order`` says what follows what: ``conv norm neuron pool`` is Spikformer's, pooling spikes.

    Kernel 3 without a ``stride`` keeps the size of the image (padding 1). Any other has no padding, and its own size as stride
    unless told otherwise: it cuts patches. ``pool`` halves the image.
    """

    def __init__(
        self,
        context: Context,
        in_channels: int,
        channels: int,
        order: Sequence[Layer],
        kernel: int = 3,
        bias: bool = False,
        stride: int | None = None,
    ) -> None:
        super().__init__()
        self.order = tuple(order)
        stride, padding = (1, 1) if stride is None and kernel == 3 else (stride or kernel, 0)
        self.conv = Conv2d(in_channels, channels, kernel, stride=stride, padding=padding, bias=bias)
        self.norm = BatchNorm2d(channels)
        if "neuron" in order:
            first = order.index("neuron") < order.index("conv")
            self.neuron = context.neuron(in_channels if first else channels)

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, channels, H', W') from (T, B, in_channels, H, W)."""
        fused_away = False
        for layer, following in zip(self.order, (*self.order[1:], None), strict=True):
            if layer == "norm" and following == "neuron" and fused.applies(self.norm, self.neuron, x):
                x, fused_away = fused.fire(self.norm, self.neuron, x), True
            elif layer == "neuron" and fused_away:
                continue
            else:
                x = max_pool(x) if layer == "pool" else getattr(self, layer)(x)
        return x


def last_order(text: str, context: Context) -> tuple[Layer, ...]:
    """The order of a stem's last stage: without its neuron where the encoder's blocks begin with one (membrane shortcut).

    Spikes would not pass two neurons in a row: a LIF of tau 2 and threshold 1 that is fed with zeros and ones never fires.
    """
    return tuple(layer for layer in order_of(text) if layer != "neuron" or not context.neuron_first)


def order_of(text: str, pool: bool = True) -> tuple[Layer, ...]:
    """``"conv norm neuron pool"`` as an order, without the pooling if ``pool`` is False."""
    layers: list[Layer] = [layer for layer in ("conv", "norm", "neuron", "pool") if layer in text.split()]
    return tuple(sorted((layer for layer in layers if pool or layer != "pool"), key=text.split().index))
