"""A network description for SANA-FE, the simulator of Loihi and its like: the convolutional stem, for one image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F

from spikebench.core.errors import InputError, storage_errors
from spikebench.running.exports._source import Source, needs
from spikebench.running.exports._stem import Chain, Conv, Fire, Layer, Pool, chain_of, shapes, why_no_more

MOST = 3_000_000
"""Connections: each is written out."""
SCALE = float(2**20)
"""Of weights, biases and thresholds: SANA-FE's Loihi cuts a membrane that has decayed to 64ths of its unit, which moves spikes at
the threshold. In a small enough unit the network is the trained one.
"""


class Export:
    """``stem.yaml``, for SANA-FE's ``load_net`` with its bundled ``loihi.yaml``, for the first test image.

    The image is constant, so the first convolution's sums are a bias of the first neurons. Weights are divided by tau where the
    input decays. A pool of spikes is a neuron that fires for any of its nine. Neurons fill cores in order, 1,024 each. SANA-FE
    hands a spike on one step later, so run T steps and one more for each layer. Raises InputError for stems that cannot be said
    and for more than three million connections.
    """

    def write(self, source: Source, folder: Path) -> list[Path]:
        sanafe = needs("sanafe", "sana-fe")
        x = source.images(1)
        if x.dim() == 5:
            raise InputError("SANA-FE's network shows one image; this data set has sequences")
        path, said = folder / "stem.yaml", folder / "stem.txt"
        net, architecture = network(chain_of(source.model), x[0].double(), sanafe)
        with storage_errors(folder):
            net.save(str(path))
            said.write_text(f"{why_no_more(source.model)}.\n", encoding="utf-8")
        del architecture  # groups are mapped to its cores: it must live as long as they are written
        return [path, said]


def network(chain: Chain, image: torch.Tensor, sanafe: Any) -> tuple[Any, Any]:
    """The mapped network, and the architecture that it is mapped to."""
    first, *rest = chain.main
    if not isinstance(first, Conv) or not rest or not isinstance(rest[0], Fire):
        raise InputError("the stem does not begin with a convolution and its neurons, which an image could be a current of")
    architecture = sanafe.load_loihi()
    net, cores, used = sanafe.Network(), architecture.cores(), 0
    layers = (*rest, *chain.branch)
    channels, height, width = image.shape
    shape = shapes((first,), (channels, height, width))[0]
    behind = shapes(layers, shape)
    group: Any = None
    current = _convolve(first, image[None])[0].flatten().numpy()
    conv: Conv | None = None
    for layer, after in zip(layers, behind, strict=True):
        if isinstance(layer, Conv):
            conv, shape_in = layer, shape
            shape = after
            continue
        size = int(np.prod(after))
        made = net.create_neuron_group(
            layer.name.replace(".", "_"),
            size,
            model_attributes=_attributes(layer),
            soma_hw_name="loihi_lif",
            default_synapse_hw_name="loihi_conv_synapse",
            default_dendrite_hw_name="loihi_dendrites",
        )
        scale = SCALE if isinstance(layer, Pool) or not layer.decay_input else SCALE / layer.tau
        if group is None:
            bias = current * scale
        else:
            source_shape = shape if conv is None else shape_in
            pairs, weights = _connections(conv if isinstance(layer, Fire) else None, source_shape, scale)
            group.connect_neurons_sparse(made, {"w": weights}, pairs)
            bias = np.repeat(conv.bias, size // after[0]) * scale if conv is not None else np.zeros(size)
        for i in range(size):
            made[i].set_attributes(model_attributes={"bias": float(bias[i])})
            made[i].map_to_core(cores[used // 1024])
            used += 1
        group, shape, conv = made, after, None
    return net, architecture


def _attributes(layer: Layer) -> dict[str, Any]:
    if isinstance(layer, Fire):
        if layer.v_reset != 0:
            raise InputError(f"{layer.name} resets to {layer.v_reset}: leak and reset have to be at 0 here")
        return {"threshold": SCALE * layer.v_threshold, "leak_decay": 1 - 1 / layer.tau, "reset": 0.0, "reset_mode": "hard"}
    return {"threshold": SCALE * 0.5, "leak_decay": 0.0, "reset": 0.0, "reset_mode": "hard"}


def _connections(conv: Conv | None, shape: tuple[int, int, int], scale: float) -> tuple[list[tuple[int, int]], list[float]]:
    """(source, destination) and weight of every connection of a convolution; of a pool if None."""
    inputs = int(np.prod(shape))
    channels = shape[0]
    layer = conv or Conv("pool", np.eye(channels)[:, :, None, None] * np.ones((3, 3)), np.zeros(channels), 2, 1)
    if inputs * layer.weight[:, 0].size > MOST:
        raise InputError(f"{layer.name} has more than {MOST:,} connections, each of which would be written out")
    pairs: list[tuple[int, int]] = []
    weights: list[float] = []
    for start in range(0, inputs, 256):
        count = min(256, inputs - start)
        one = torch.zeros(count, inputs, dtype=torch.float64)
        one[range(count), range(start, start + count)] = 1.0
        reached = _convolve(Conv(layer.name, layer.weight, np.zeros_like(layer.bias), layer.stride, layer.padding),
                            one.view(count, *shape)).flatten(1)  # fmt: skip
        for i, j in reached.nonzero().tolist():
            pairs.append((start + i, j))
            weights.append(float(reached[i, j]) * scale)
    return pairs, weights


def _convolve(conv: Conv, x: torch.Tensor) -> torch.Tensor:
    return F.conv2d(x, torch.from_numpy(conv.weight), torch.from_numpy(conv.bias), conv.stride, conv.padding)
