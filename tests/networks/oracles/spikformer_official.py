"""Spikformer in the layout of its released code, from the equations: the oracle for parity and for speed.

Tokens are (T, B, N, C), BatchNorm1d sees a transpose, every step of a static image is computed, the CIFAR product order is
(Q K^T) V, and neurons are SpikingJelly's LIFNode (or, in float64, any function of a sequence).
"""

import torch
from spikingjelly.activation_based import functional, neuron, surrogate
from torch import nn
from torch.nn import functional as F


def lif(v_threshold=1.0):
    return neuron.LIFNode(
        tau=2.0, v_threshold=v_threshold, surrogate_function=surrogate.Sigmoid(alpha=4.0), detach_reset=True, step_mode="m"
    )


def fold(layer, x):
    """A layer over images or tokens, T folded into the batch."""
    return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


class PatchEmbed(nn.Module):
    def __init__(self, channels, dim, pools):
        super().__init__()
        widths = [channels, dim // 8, dim // 4, dim // 2, dim]
        self.pools = pools
        for i, end in enumerate(["", "1", "2", "3"]):
            setattr(self, f"proj_conv{end}", nn.Conv2d(widths[i], widths[i + 1], 3, padding=1, bias=False))
            setattr(self, f"proj_bn{end}", nn.BatchNorm2d(widths[i + 1]))
            setattr(self, f"proj_lif{end}", lif())
        self.rpe_conv = nn.Conv2d(dim, dim, 3, padding=1, bias=False)
        self.rpe_bn = nn.BatchNorm2d(dim)
        self.rpe_lif = lif()

    def forward(self, x):
        for i, end in enumerate(["", "1", "2", "3"]):
            x = fold(getattr(self, f"proj_bn{end}"), fold(getattr(self, f"proj_conv{end}"), x))
            x = getattr(self, f"proj_lif{end}")(x)
            if i in self.pools:
                x = fold(lambda y: F.max_pool2d(y, 3, 2, 1), x)
        x = x + self.rpe_lif(fold(self.rpe_bn, fold(self.rpe_conv, x)))
        return x.flatten(3).transpose(2, 3)


class Layer(nn.Module):
    """Linear or 1x1 convolution, BatchNorm1d over a transpose, LIF; keys are the caller's business."""

    @staticmethod
    def run(linear, norm, neuron, x):
        if isinstance(linear, nn.Linear):
            y = linear(x)
        elif isinstance(linear, nn.Conv1d):
            y = fold(linear, x.transpose(2, 3)).transpose(2, 3)
        else:
            y = fold(linear, x.transpose(2, 3).unsqueeze(-1)).squeeze(-1).transpose(2, 3)
        y = fold(norm, y.transpose(2, 3)).transpose(2, 3).contiguous()
        return neuron(y)


def make_linear(kind, inputs, outputs, bias):
    if kind == "linear":
        return nn.Linear(inputs, outputs, bias=bias)
    return nn.Conv1d(inputs, outputs, 1, bias=bias) if kind == "conv" else nn.Conv2d(inputs, outputs, 1, bias=bias)


class SSA(nn.Module):
    def __init__(self, dim, heads, kind, bias, scale, order):
        super().__init__()
        self.heads, self.kind, self.scale, self.order = heads, kind, scale, order
        for name in ("q", "k", "v", "proj"):
            setattr(self, f"{name}_{kind}", make_linear(kind, dim, dim, bias or name == "proj"))
            setattr(self, f"{name}_bn", nn.BatchNorm1d(dim))
            setattr(self, f"{name}_lif", lif())
        self.attn_lif = lif(v_threshold=0.5)

    def part(self, name, x):
        return Layer.run(getattr(self, f"{name}_{self.kind}"), getattr(self, f"{name}_bn"), getattr(self, f"{name}_lif"), x)

    def forward(self, x):
        T, B, N, C = x.shape
        q, k, v = (self.part(name, x).reshape(T, B, N, self.heads, C // self.heads).transpose(2, 3) for name in "qkv")
        keys = k.transpose(-2, -1)
        y = (q @ keys) * self.scale @ v if self.order == "qk_first" else q @ (keys @ v) * self.scale
        y = self.attn_lif(y.transpose(2, 3).reshape(T, B, N, C))
        return self.part("proj", y)


class MLP(nn.Module):
    def __init__(self, dim, kind):
        super().__init__()
        self.kind = "linear" if kind == "linear" else "conv"
        shape = {"linear": "linear", "conv": "conv2d", "conv-dvs": "conv"}[kind]
        for name, i, o in (("fc1", dim, 4 * dim), ("fc2", 4 * dim, dim)):
            setattr(self, f"{name}_{self.kind}", make_linear(shape, i, o, True))
            norm = nn.BatchNorm2d(o) if shape == "conv2d" else nn.BatchNorm1d(o)
            setattr(self, f"{name}_bn", norm)
            setattr(self, f"{name}_lif", lif())

    def forward(self, x):
        for name in ("fc1", "fc2"):
            linear, norm = getattr(self, f"{name}_{self.kind}"), getattr(self, f"{name}_bn")
            if isinstance(norm, nn.BatchNorm2d):
                y = fold(norm, fold(linear, x.transpose(2, 3).unsqueeze(-1))).squeeze(-1).transpose(2, 3)
                x = getattr(self, f"{name}_lif")(y.contiguous())
            else:
                x = Layer.run(linear, norm, getattr(self, f"{name}_lif"), x)
        return x


class Block(nn.Module):
    def __init__(self, dim, heads, kind, bias, scale, order):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)  # never used, as in the released code
        self.attn = SSA(dim, heads, "linear" if kind == "linear" else "conv", bias, scale, order)
        self.mlp = MLP(dim, kind)

    def forward(self, x):
        x = x + self.attn(x)
        return x + self.mlp(x)


class Spikformer(nn.Module):
    """``layout``: cifar, imagenet or dvs. ``forward`` takes (B, C, H, W), or (T, B, C, H, W)."""

    def __init__(self, layout, channels=3, dim=384, depth=4, heads=12, classes=10, T=4):
        super().__init__()
        self.T = T
        kind, pools, bias, scale, order = {
            "cifar": ("linear", (2, 3), True, 0.125, "qk_first"),
            "imagenet": ("conv", (0, 1, 2, 3), False, 0.125, "kv_first"),
            "dvs": ("conv-dvs", (0, 1, 2, 3), False, 0.25, "qk_first"),
        }[layout]
        self.patch_embed = PatchEmbed(channels, dim, pools)
        self.block = nn.ModuleList([Block(dim, heads, kind, bias, scale, order) for _ in range(depth)])
        if layout == "dvs":
            self.pos_embed = nn.Parameter(torch.zeros(1, 64, dim))  # allocated, never used
            self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        functional.reset_net(self)
        if x.dim() == 4:
            x = x.unsqueeze(0).repeat(self.T, 1, 1, 1, 1)
        x = self.patch_embed(x)
        for block in self.block:
            x = block(x)
        return self.head(x.mean(2).mean(0))
