"""The convolutional stem as a chain of plain layers, BatchNorm folded: the part of a network that others have words for."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from spikebench.core.errors import InputError
from spikebench.networks.network import Network
from spikebench.networks.neurons.lif import Neuron
from spikebench.networks.stems._stage import Stage

Numbers = NDArray[np.float64]


@dataclasses.dataclass(frozen=True)
class Conv:
    """``weight`` (C_out, C_in, k, k) and ``bias`` (C_out,) of a convolution and the BatchNorm behind it, float64."""

    name: str
    weight: Numbers
    bias: Numbers
    stride: int
    padding: int


@dataclasses.dataclass(frozen=True)
class Fire:
    """A LIF layer, as ``neurons.lif`` means its options."""

    name: str
    tau: float
    v_threshold: float
    v_reset: float
    decay_input: bool


@dataclasses.dataclass(frozen=True)
class Pool:
    """3 x 3 max-pooling of spikes, stride 2, padding 1: whether any of nine has fired."""

    name: str


Layer = Conv | Fire | Pool


@dataclasses.dataclass(frozen=True)
class Chain:
    """``main`` from the image; ``branch`` from its output, to which it is added (position spikes); empty where there is none."""

    main: tuple[Layer, ...]
    branch: tuple[Layer, ...]


def chain_of(model: Network) -> Chain:
    """Of a network's stem. Raises InputError that names what no such chain holds."""
    stem = getattr(model, "stem", None)
    if stem is None:
        raise InputError(f"a network of the family {model.spec.family.name!r} has no stem to export")
    main = tuple(_layers(stem.stages, "stem.stages", model))
    branch: tuple[Layer, ...] = ()
    if hasattr(stem, "position"):
        residual = model.spec.residual.name
        if residual != "add":
            raise InputError(f"the stem merges its position spikes by {residual!r}; only sums (add) can be said")
        branch = tuple(_layers(stem.position, "stem.position", model))
    others = [name for name, _ in stem.named_children() if name not in ("stages", "position", "merge")]
    if others:
        raise InputError(f"the stem {model.spec.stem.name!r} has parts that no chain of layers says: {', '.join(others)}")
    return Chain(main, branch)


def why_no_more(model: Network) -> str:
    """Why the blocks and the head stay out."""
    return (
        f"left out: {len(list(getattr(model, 'blocks', [])))} blocks, whose attention multiplies two activations, and the head, "
        "which averages over time: there is no word for either"
    )


def _layers(module: nn.Module, name: str, model: Network) -> Iterator[Layer]:
    if isinstance(module, Stage):
        yield from _stage(module, name)
    elif isinstance(module, nn.Sequential) or {"down", "expand", "reduce"} <= dict(module.named_children()).keys():
        if getattr(module, "merge", None) is not None:
            raise InputError(f"{name} has a shortcut around it, which no chain of layers says")
        for child, part in module.named_children():
            yield from _layers(part, f"{name}.{child}", model)
    else:
        raise InputError(f"{name} of the stem {model.spec.stem.name!r} ({type(module).__name__}) has no words in this format")


def _stage(stage: Stage, name: str) -> Iterator[Layer]:
    order = list(stage.order)
    for place, kind in enumerate(order):
        after = order[place + 1] if place + 1 < len(order) else ""
        if kind == "conv":
            yield _folded(stage, f"{name}.conv", with_norm=after == "norm")
        elif kind == "norm" and (place == 0 or order[place - 1] != "conv"):
            raise InputError(f"{name}: a BatchNorm that is not behind its convolution cannot be folded into it")
        elif kind == "neuron":
            yield _fire(stage.neuron, f"{name}.neuron")
        elif kind == "pool":
            if place == 0 or order[place - 1] != "neuron":
                raise InputError(
                    f"{name} pools potentials, not spikes: the largest of nine real numbers has no word in this format"
                )
            yield Pool(f"{name}.pool")


def _folded(stage: Stage, name: str, with_norm: bool) -> Conv:
    conv, norm = stage.conv, stage.norm
    weight = conv.weight.detach().double()
    bias = torch.zeros(weight.shape[0], dtype=torch.float64) if conv.bias is None else conv.bias.detach().double()
    if with_norm:
        assert norm.running_mean is not None
        assert norm.running_var is not None
        scale = norm.weight.detach().double() / torch.sqrt(norm.running_var.double() + norm.eps)
        weight = weight * scale[:, None, None, None]
        bias = norm.bias.detach().double() + (bias - norm.running_mean.double()) * scale
    padding = conv.padding[0]
    assert isinstance(padding, int)
    return Conv(name, weight.numpy(), bias.numpy(), conv.stride[0], padding)


def _fire(module: Any, name: str) -> Fire:
    if not isinstance(module, Neuron):
        raise InputError(f"{name} is no plain LIF ({type(module).__name__}); only LIF with fixed parameters can be said")
    o = module.options
    if o.v_reset is None:
        raise InputError(f"{name} resets softly (v_reset: null); only a reset to a value can be said")
    return Fire(name, o.tau, module.v_threshold, o.v_reset, o.decay_input)


def shapes(layers: tuple[Layer, ...], shape: tuple[int, int, int]) -> list[tuple[int, int, int]]:
    """(C, H, W) behind every layer."""
    found = []
    channels, height, width = shape
    for layer in layers:
        if isinstance(layer, Conv):
            k = layer.weight.shape[2]
            channels = layer.weight.shape[0]
            height, width = ((side + 2 * layer.padding - k) // layer.stride + 1 for side in (height, width))
        elif isinstance(layer, Pool):
            height, width = ((side - 1) // 2 + 1 for side in (height, width))
        found.append((channels, height, width))
    return found
