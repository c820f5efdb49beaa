"""BatchNorm folded into the layer before it: W' = W g and b' = (b - mean) g + beta with g = gamma / sqrt(var + eps)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from spikebench.networks.layers import BatchNorm2d, Conv2d, Projection
from spikebench.networks.stems._stage import Stage


def fold(model: nn.Module) -> tuple[nn.Module, int]:
    """A copy of ``model`` in evaluation mode, and how many of its BatchNorms are folded: those of stages and projections that
    directly follow a convolution or a linear layer.

    Sums round differently, so that a few spikes near their threshold flip; in float64 none does.
    """
    folded, count = copy.deepcopy(model).eval(), 0
    for module in folded.modules():
        layer = _layer_before(module)
        if layer is not None:
            _into(layer, module.norm)  # type: ignore[arg-type]
            module.norm = nn.Identity()
            count += 1
    return folded, count


def flips(model: nn.Module, other: nn.Module, x: Tensor) -> tuple[int, int]:
    """Of two networks with the same neurons on the same input: outputs of neurons that differ, and how many there are in all."""
    from spikebench.networks.neurons._base import SpikingNeuron

    kept: dict[str, Tensor] = {}
    found = torch.zeros((), dtype=torch.int64, device=x.device)
    total = 0

    def compare(name: str, spikes: Tensor) -> None:
        nonlocal found, total
        found += (kept.pop(name) != spikes.ne(0)).sum()
        total += spikes.numel()

    for network, take in ((model, lambda name, spikes: kept.update({name: spikes.ne(0)})), (other, compare)):
        hooks = [
            module.register_forward_hook(lambda _, __, spikes, name=name, take=take: take(name, spikes))
            for name, module in network.named_modules()
            if isinstance(module, SpikingNeuron)
        ]
        try:
            network(x)
        finally:
            for hook in hooks:
                hook.remove()
    return int(found), total


def _layer_before(module: nn.Module) -> nn.Conv2d | nn.Linear | None:
    """What the module's BatchNorm directly follows, if it may be folded into that."""
    if isinstance(module, Stage):
        follows = module.order.index("norm") == module.order.index("conv") + 1
        return module.conv if follows and type(module.conv) is Conv2d and type(module.norm) is BatchNorm2d else None
    if isinstance(module, Projection):
        linear = module.linear
        return linear if type(linear) is nn.Linear and type(module.norm) is nn.BatchNorm1d else None
    return None


@torch.no_grad()
def _into(layer: nn.Conv2d | nn.Linear, norm: nn.modules.batchnorm._BatchNorm) -> None:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    gain = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    bias = torch.zeros_like(gain) if layer.bias is None else layer.bias.double()
    folded = (bias - norm.running_mean.double()) * gain + norm.bias.double()
    layer.weight.copy_(layer.weight.double() * gain.reshape(-1, *[1] * (layer.weight.dim() - 1)))
    layer.bias = nn.Parameter(folded.to(layer.weight.dtype))
