"""Counting a masked pass: what the masked network really did, events over visible tokens alone."""

import math

import torch
from torch import nn

from spikebench.activity import count
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.layers import Conv2d
from spikebench.networks.masked import Masking, build_masked
from spikebench.networks.masking import draw_mask
from spikebench.networks.visible import Tokens

INPUTS = InputSpec(2, 16, 3)
GRID = 4
TINY = VariantSpec(depth=2, dim=16, num_heads=2, T=2).replace(stem={"name": "scs", "patch_size": 4}, position="spikes")


def make(spec=TINY, inputs=INPUTS, **masking):
    torch.manual_seed(0)
    model = build_masked(spec, inputs, Masking(**masking))
    for module in model.network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine:
            nn.init.constant_(module.weight, 2.0)
            nn.init.constant_(module.bias, 0.7)
            module.momentum = 0.5
    return model


def images(batch=5, inputs=INPUTS, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(batch, inputs.channels, inputs.size, inputs.size, generator=generator) * 3


def a_mask(batch=5, ratio=0.75, seed=0):
    return draw_mask(batch, GRID, ratio, generator=torch.Generator().manual_seed(seed))


def test_counting_sees_events_of_visible_tokens_alone():
    """Against a brute force over the inputs of every convolution and every linear layer of the same pass."""
    model, x = make(TINY, mask_ratio=0.75).train(), images()
    for _ in range(3):
        model.encode(x, a_mask())
    model.eval()
    mask, seen = a_mask(), {}

    def watch(name):
        return lambda layer, args: seen.__setitem__(name, args[0].detach())

    layers = {
        name: layer
        for name, layer in model.network.named_modules()
        if isinstance(layer, (Conv2d, nn.Linear)) and not name.startswith("head")
    }
    hooks = [layer.register_forward_pre_hook(watch(name)) for name, layer in layers.items()]
    counted = count(model, (x, mask))
    for hook in hooks:
        hook.remove()
    assert not counted.not_counted
    events = {site.scope: site.events for site in counted.sites if site.synaptic}
    for name, layer in layers.items():
        expected = brute_force(layer, seen[name], mask)
        assert events[f"network.{name}"] == expected, name
    assert sum(events.values()) > 0


def brute_force(layer, x, mask):
    if isinstance(layer, nn.Linear):
        return int((x != 0).sum()) * layer.out_features
    T, B, C, cells = x.shape
    visible = int((~mask[0]).sum())
    k = math.isqrt(cells // visible)
    side = GRID * k
    image = torch.zeros(T, B, C, side, side)
    for b in range(B):
        for v, token in enumerate((~mask[b]).nonzero()[:, 0].tolist()):
            r, c = divmod(token, GRID)
            block = x[:, b, :, v * k * k : (v + 1) * k * k].reshape(T, C, k, k)
            image[:, b, :, r * k : (r + 1) * k, c * k : (c + 1) * k] = block
    window = torch.nn.functional.conv2d(
        (image != 0).double().sum(2).flatten(0, 1).unsqueeze(1),
        torch.ones(1, 1, *layer.kernel_size, dtype=torch.float64),
        stride=layer.stride,
        padding=layer.padding,
    )
    shown = ~Tokens(mask, GRID).pixels(window.shape[-1])[:, 0].expand(T, -1, -1, -1).flatten(0, 1)
    return int(window[:, 0][shown].sum()) * layer.out_channels


def test_counting_follows_spikes_through_the_sparse_stem():
    """What a neuron emits stays spikes in the gathered convolution, so that its events are accumulations."""
    counted = count(make(TINY.replace(stem={"name": "sps", "patch_size": 4})).eval(), (images(), a_mask()))
    kinds = {site.scope: (site.input, site.known_by) for site in counted.sites if site.scope.endswith(".conv") and site.synaptic}
    assert kinds.pop("network.stem.stages.0.conv")[0] == "real"
    assert set(kinds.values()) == {("binary", "declared")}
    assert len(kinds) == 4
