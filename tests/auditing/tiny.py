"""A small spiking transformer as people write them, healthy, and one network for each fault that an audit looks for."""

import torch
from torch import nn


class Fire(torch.autograd.Function):
    """A step with the gradient of a triangle."""

    @staticmethod
    def forward(ctx, z):
        ctx.save_for_backward(z)
        return (z >= 0).to(z)

    @staticmethod
    def backward(ctx, grad):
        (z,) = ctx.saved_tensors
        return grad * (2 - z.abs()).clamp_min(0) / 4


class LIF(nn.Module):
    """(T, B, ...) from currents of that shape, step by step, from rest."""

    def __init__(self, threshold=1.0):
        super().__init__()
        self.threshold = threshold

    def current(self, x):
        return x

    def start(self, x):
        return torch.zeros_like(x[0])

    def forward(self, x):
        x, spikes = self.current(x), []
        v = self.start(x)
        for t in range(x.shape[0]):
            v = v + (x[t] - v) / 2
            spike = Fire.apply(v - self.threshold)
            v = v * (1 - spike.detach())
            spikes.append(spike)
        return torch.stack(spikes)


class Layer(nn.Module):
    """Linear over channels of (T, B, N, C), BatchNorm, neuron."""

    def __init__(self, inputs, outputs, neuron=None):
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)
        self.neuron = neuron or LIF()

    def normalise(self, y):
        return self.norm(y.flatten(0, 2)).unflatten(0, y.shape[:3])

    def forward(self, x):
        return self.neuron(self.normalise(self.linear(x)))


class TokenAttention(nn.Module):
    """Which tokens of k pass is decided by q: products of spikes alone."""

    def __init__(self, dim):
        super().__init__()
        self.q, self.k, self.proj = Layer(dim, dim), Layer(dim, dim), Layer(dim, dim)
        self.gate = LIF(3.0)

    def mix(self, q, k):
        return self.gate(q.sum(3, keepdim=True)) * k

    def forward(self, x):
        return self.proj(self.mix(self.q(x), self.k(x)))


class Net(nn.Module):
    """Images (B, 2, H, W), shown T times, or (T, B, 2, H, W): patches of 2, an attention, a layer, a head that reads spikes."""

    def __init__(self, dim=16, T=4, classes=5):
        super().__init__()
        self.T = T
        self.entry = nn.Identity()
        self.conv = nn.Conv2d(2, dim, 2, stride=2, bias=False)
        self.norm = nn.BatchNorm2d(dim)
        self.fire = LIF()
        self.attention = TokenAttention(dim)
        self.mlp = Layer(dim, dim)
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        x = self.entry(x)
        x = x if x.dim() == 5 else x.unsqueeze(0).repeat(self.T, 1, 1, 1, 1)
        y = self.norm(self.conv(x.flatten(0, 1))).unflatten(0, x.shape[:2])
        tokens = self.fire(y).flatten(3).transpose(2, 3)
        return self.head(self.mlp(self.attention(tokens))).mean((0, 2))


def net(change=None):
    """A healthy network with the weights of seed 0, and what ``change`` does to it."""
    torch.manual_seed(0)
    model = Net()
    if change is not None:
        change(model)
    return trained(model)


def trained(model):
    """BatchNorm has seen batches, its affine numbers are such that all layers fire, none always, and the head tells the images
    of ``images()`` apart: answers with room between them.
    """
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.weight.fill_(2.0)
                module.bias.uniform_(0.5, 1.0)
        for _ in range(30):
            model.train()(images(16))
        model.eval().head = nn.Identity()
        features = torch.cat([model(images()), torch.ones(5, 1)], 1)
        solved = torch.linalg.lstsq(features, torch.eye(5)).solution
        model.head = nn.Linear(16, 5).eval()
        model.head.weight.copy_(solved[:-1].T)
        model.head.bias.copy_(solved[-1])
    return model


def images(count=5, size=8):
    return torch.rand(count, 2, size, size, generator=torch.Generator().manual_seed(count)) * 4


# the faults


class LooksAtNeighbours(LIF):
    def current(self, x):
        return x - x.mean(1, keepdim=True)


class Remembers(LIF):
    def start(self, x):
        return self.v if getattr(self, "v", None) is not None and self.v.shape == x[0].shape else super().start(x)

    def forward(self, x):
        spikes = super().forward(x)
        self.v = x[-1].detach() / 2
        return spikes


class Foresees(LIF):
    def current(self, x):
        return x - x.mean(0, keepdim=True) + 1


class Hoards(LIF):
    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, x):
        spikes = super().forward(x)
        self.seen.append(spikes.detach())
        return spikes


class KeepsItsGraph(LIF):
    """A membrane that is never detached: each call's graph hangs on the one before."""

    def __init__(self):
        super().__init__()
        self.trace = None

    def forward(self, x):
        spikes = super().forward(x if self.trace is None else x + 1e-9 * self.trace)
        self.trace = spikes.mean()
        return spikes


class Cuts(LIF):
    def current(self, x):
        return x.detach()


class FirstStepAlone(LIF):
    def current(self, x):
        return torch.cat([x[:1] + 2, x[1:] * 0 - 5])


class NearlyCancels(LIF):
    """Currents as differences of thousands: what is left has no digits in half precision."""

    def __init__(self, weights):
        super().__init__()
        self.linear = nn.Linear(weights, weights, bias=False)
        nn.init.eye_(self.linear.weight)

    def current(self, x):
        return self.linear(x + 4000) - self.linear(torch.full_like(x, 4000))


class PlacedAttention(TokenAttention):
    def mix(self, q, k):
        tokens = k.shape[2]
        return super().mix(q, k) * (torch.arange(tokens).view(-1, 1) < tokens // 2)


class ShufflingAttention(TokenAttention):
    def mix(self, q, k):
        order = torch.randperm(k.shape[2], generator=torch.Generator().manual_seed(0))
        return super().mix(q, k)[:, :, order]


class Adds(nn.Module):
    """Two sublayers whose spikes are summed: integers."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


class Stubborn(nn.BatchNorm1d):
    """Frozen against the network's will."""

    def train(self, mode=True):
        return super().train(True)


class PerImage(nn.Module):
    """Normalises an image's mean over steps and tokens: one number a channel and image."""

    def __init__(self, inner):
        super().__init__()
        self.inner, self.norm = inner, nn.BatchNorm1d(16)

    def forward(self, x):
        return self.inner(x + self.norm(x.mean((0, 2)))[None, :, None])


class Viewed(nn.Module):
    """Wants its input contiguous."""

    def forward(self, x):
        return x.view(-1).view(x.shape)
