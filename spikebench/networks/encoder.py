"""The encoder block: attention and MLP, each joined to the stream by a residual (Spikformer, arXiv 2209.15425, eqs 4-9)."""

from __future__ import annotations

from torch import Tensor, nn

from spikebench.networks.context import Context
from spikebench.networks.layers import Projection


class MLP(nn.Module):
    """dim -> mlp_ratio * dim -> dim; each layer 1x1 conv (with bias) - BN - neuron, or neuron - conv - BN (membrane shortcut)."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.fc1 = _layer(context, context.spec.dim, context.hidden)
        self.fc2 = _layer(context, context.hidden, context.spec.dim)

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, C, N) from (T, B, C, N)."""
        out: Tensor = self.fc2(self.fc1(x))
        return out


class Block(nn.Module):
    """X' = attention(X) joined to X; X'' = MLP(X') joined to X'."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.attention = context.make("attention")
        self.mlp = MLP(context)
        self.residual = context.make("residual")

    def forward(self, x: Tensor) -> Tensor:
        """(T, B, C, N) from (T, B, C, N)."""
        x = self.residual(x, self.attention(x))
        out: Tensor = self.residual(x, self.mlp(x))
        return out


def _layer(context: Context, in_channels: int, channels: int) -> Projection:
    if context.neuron_first:
        return Projection(in_channels, channels, bias=True, before=context.neuron(in_channels))
    return Projection(in_channels, channels, bias=True, after=context.neuron(channels))
