"""Spikingformer, Spike-driven Transformer and QKFormer in the layouts of their released code, from the equations.

Plain modules over (T, B, ...) with SpikingJelly's LIFNode; nothing of spikebench is used.
"""

from spikingjelly.activation_based import neuron, surrogate
from torch import nn
from torch.nn import functional as F


def lif(v_threshold=1.0):
    return neuron.LIFNode(
        tau=2.0, v_threshold=v_threshold, surrogate_function=surrogate.Sigmoid(alpha=4.0), detach_reset=True, step_mode="m"
    )


def fold(layer, x):
    return layer(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def pool(x):
    return fold(lambda y: F.max_pool2d(y, 3, 2, 1), x)


class Base(nn.Module):
    """``layer(name, x)`` runs ``name_conv`` and ``name_bn``; neurons are made where they are first called, by name."""

    def add(self, name, inputs, outputs, kernel, bias, dims, stride=1):
        conv = {1: nn.Conv1d, 2: nn.Conv2d}[dims](
            inputs, outputs, kernel, stride=stride, padding=1 if kernel == 3 else 0, bias=bias
        )
        setattr(self, f"{name}_conv", conv)
        setattr(self, f"{name}_bn", (nn.BatchNorm1d if dims == 1 else nn.BatchNorm2d)(outputs))

    def layer(self, name, x):
        """On images; tokens (T, B, C, N) go through a 2-d convolution as (N, 1) images."""
        conv, norm = getattr(self, f"{name}_conv"), getattr(self, f"{name}_bn")
        flat = x.dim() == 4 and isinstance(conv, nn.Conv2d)
        y = fold(norm, fold(conv, x.unsqueeze(-1) if flat else x))
        return y.squeeze(-1) if flat else y

    def fire(self, x, v_threshold=1.0):
        return lif(v_threshold)(x)


def heads(x, n):
    """(T, B, n, N, d) from (T, B, C, N)."""
    T, B, C, N = x.shape
    return x.reshape(T, B, n, C // n, N).transpose(3, 4)


def unheads(x):
    T, B, n, N, d = x.shape
    return x.transpose(3, 4).reshape(T, B, n * d, N)


class SpikingformerStem(Base):
    def __init__(self, channels, dim):
        super().__init__()
        widths = [channels, dim // 8, dim // 4, dim // 2, dim, dim]
        for i in range(5):
            self.add(f"block{i}", widths[i], widths[i + 1], 3, False, 2)

    def forward(self, x):
        x = self.layer("block0", x)
        for i in range(1, 5):
            x = self.fire(x)
            if i >= 3:
                x = pool(x)
            x = self.layer(f"block{i}", x)
        return x.flatten(3)


class SpikingformerAttention(Base):
    def __init__(self, dim, n):
        super().__init__()
        self.n = n
        for name in "qkv":
            self.add(name, dim, dim, 1, False, 1)
        self.add("proj", dim, dim, 1, True, 1)

    def forward(self, x):
        x = self.fire(x)
        q, k, v = (heads(self.fire(self.layer(name, x)), self.n) for name in "qkv")
        y = (q @ k.transpose(-2, -1)) @ v * 0.125
        return self.layer("proj", self.fire(unheads(y), 0.5))


class PreMLP(Base):
    def __init__(self, dim, names):
        super().__init__()
        self.names = names
        self.add(names[0], dim, 4 * dim, 1, True, 2)
        self.add(names[1], 4 * dim, dim, 1, True, 2)

    def forward(self, x):
        for name in self.names:
            x = self.layer(name, self.fire(x))
        return x


class PostMLP(PreMLP):
    def forward(self, x):
        for name in self.names:
            x = self.fire(self.layer(name, x))
        return x


class SDTStem(Base):
    def __init__(self, channels, dim):
        super().__init__()
        widths = [channels, dim // 8, dim // 4, dim // 2, dim]
        for i, end in enumerate(["", "1", "2", "3"]):
            setattr(self, f"proj_conv{end}", nn.Conv2d(widths[i], widths[i + 1], 3, padding=1, bias=False))
            setattr(self, f"proj_bn{end}", nn.BatchNorm2d(widths[i + 1]))
        self.rpe_conv, self.rpe_bn = nn.Conv2d(dim, dim, 3, padding=1, bias=False), nn.BatchNorm2d(dim)

    def forward(self, x):
        for i, end in enumerate(["", "1", "2", "3"]):
            x = fold(getattr(self, f"proj_bn{end}"), fold(getattr(self, f"proj_conv{end}"), x))
            if i == 3:
                x = pool(x)
                break
            x = self.fire(x)
            if i == 2:
                x = pool(x)
        return (fold(self.rpe_bn, fold(self.rpe_conv, self.fire(x))) + x).flatten(3)


class SDSA(Base):
    def __init__(self, dim, n):
        super().__init__()
        for name in "qkv":
            self.add(name, dim, dim, 1, False, 2)
        self.add("proj", dim, dim, 1, True, 2)
        self.talking_heads = nn.Conv1d(n, n, 1, bias=False)  # allocated, never used

    def forward(self, x):
        x = self.fire(x)
        q, k, v = (self.fire(self.layer(name, x)) for name in "qkv")
        s = self.fire((k * v).sum(3, keepdim=True), 0.5)
        return self.layer("proj", q * s)


class Block(nn.Module):
    def __init__(self, name, attention, mlp):
        super().__init__()
        self.name = name
        setattr(self, name, attention)
        self.mlp = mlp

    def forward(self, x):
        x = x + getattr(self, self.name)(x)
        return x + self.mlp(x)


class Spikingformer(nn.Module):
    def __init__(self, channels=3, dim=384, depth=4, n=12, classes=10, T=4):
        super().__init__()
        self.T = T
        self.patch_embed = SpikingformerStem(channels, dim)
        self.block = nn.ModuleList(
            [Block("attn", SpikingformerAttention(dim, n), PreMLP(dim, ("mlp1", "mlp2"))) for _ in range(depth)]
        )
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        x = self.patch_embed(x.unsqueeze(0).repeat(self.T, 1, 1, 1, 1))
        for block in self.block:
            x = block(x)
        return self.head(x.mean(3).mean(0))


class SDT(nn.Module):
    def __init__(self, channels=3, dim=512, depth=2, n=8, classes=10, T=4):
        super().__init__()
        self.T = T
        self.patch_embed = SDTStem(channels, dim)
        self.block = nn.ModuleList([Block("attn", SDSA(dim, n), PreMLP(dim, ("fc1", "fc2"))) for _ in range(depth)])
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        x = self.patch_embed(x.unsqueeze(0).repeat(self.T, 1, 1, 1, 1))
        for block in self.block:
            x = block(x)
        return self.head(lif()(x.mean(3))).mean(0)


class Embed1(Base):
    def __init__(self, channels, dim):
        super().__init__()
        self.add("proj", channels, dim // 2, 3, False, 2)
        self.add("proj1", dim // 2, dim, 3, False, 2)
        self.add("proj_res", dim // 2, dim, 1, False, 2)

    def forward(self, x):
        a = self.fire(self.layer("proj", x))
        return self.fire(self.layer("proj1", a)) + self.fire(self.layer("proj_res", a))


class Embed(Base):
    def __init__(self, inputs, dim):
        super().__init__()
        self.add("proj3", inputs, dim, 3, False, 2)
        self.add("proj4", dim, dim, 3, False, 2)
        self.add("proj_res", inputs, dim, 1, False, 2, stride=2)

    def forward(self, x):
        deep = self.fire(pool(self.layer("proj4", self.fire(self.layer("proj3", x)))))
        return deep + self.fire(self.layer("proj_res", x))


class TokenQK(Base):
    def __init__(self, dim, n):
        super().__init__()
        self.n = n
        for name in "qk":
            self.add(name, dim, dim, 1, False, 1)
        self.add("proj", dim, dim, 1, True, 1)

    def forward(self, x):
        q, k = (heads(self.fire(self.layer(name, x)), self.n) for name in "qk")
        a = self.fire(q.sum(4, keepdim=True), 0.5)
        return self.fire(self.layer("proj", unheads(a * k)))


class QKSSA(Base):
    """``carries``: as released, the last neuron gets the flattened (T B, C, N) tensor."""

    def __init__(self, dim, n, carries=False):
        super().__init__()
        self.n, self.carries = n, carries
        for name in "qkv":
            self.add(name, dim, dim, 1, False, 1)
        self.add("proj", dim, dim, 1, True, 1)

    def forward(self, x):
        q, k, v = (heads(self.fire(self.layer(name, x)), self.n) for name in "qkv")
        y = q @ (k.transpose(-2, -1) @ v) * 0.125
        y = self.layer("proj", self.fire(unheads(y), 0.5))
        return self.fire(y.flatten(0, 1)).view(y.shape) if self.carries else self.fire(y)


class QKFormer(nn.Module):
    def __init__(self, channels=3, dim=384, depth=4, classes=10, T=4, carries=False):
        super().__init__()
        self.T = T
        self.patch_embed1 = Embed1(channels, dim // 4)
        self.patch_embed2 = Embed(dim // 4, dim // 2)
        self.patch_embed3 = Embed(dim // 2, dim)
        mlp = ("mlp1", "mlp2")
        self.stage1 = nn.ModuleList([Block("tssa", TokenQK(dim // 4, 8), PostMLP(dim // 4, mlp))])
        self.stage2 = nn.ModuleList([Block("tssa", TokenQK(dim // 2, 8), PostMLP(dim // 2, mlp))])
        self.stage3 = nn.ModuleList([Block("ssa", QKSSA(dim, 8, carries), PostMLP(dim, mlp)) for _ in range(depth - 2)])
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        x = x.unsqueeze(0).repeat(self.T, 1, 1, 1, 1)
        for i in (1, 2, 3):
            x = getattr(self, f"patch_embed{i}")(x)
            tokens = x.flatten(3)
            for block in getattr(self, f"stage{i}"):
                tokens = block(tokens)
            x = tokens.view_as(x)
        return self.head(x.flatten(3).mean(3).mean(0))
