"""SSA whose Q and K come from frozen random weights: the control that a claim about attention needs (STEP, arXiv 2505.11151)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from spikebench.networks.attentions.ssa import Attention as SpikingSelfAttention
from spikebench.networks.context import Context
from spikebench.networks.layers import Projection, token_linear


class FrozenProjection(Projection):
    """A projection whose weight is drawn once and kept, as a buffer. BatchNorm has no weights, but follows its statistics."""

    def __init__(self, channels: int, bias: bool, after: nn.Module) -> None:
        super().__init__(channels, channels, bias=bias, after=after)
        self.linear = FrozenLinear(token_linear(channels, channels, bias))
        self.norm = nn.BatchNorm1d(channels, affine=False)


class FrozenLinear(nn.Module):
    """The weights of ``linear`` as buffers: kept in checkpoints, never trained."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.register_buffer("weight", linear.weight.detach().clone())
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.get_buffer("weight"), self._buffers["bias"])


class Attention(SpikingSelfAttention):
    """Everything else as ``ssa``. Q and K are random features of the tokens that no training touches."""

    def make_input(self, name: str, context: Context) -> nn.Module:
        if name == "v":
            return super().make_input(name, context)
        dim = context.spec.dim
        return FrozenProjection(dim, self.options.bias, context.neuron(dim))
