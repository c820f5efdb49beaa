"""NIR (Neuromorphic Intermediate Representation) of the convolutional stem: convolutions with BatchNorm folded in, LIF."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from spikebench.core.errors import InputError, storage_errors
from spikebench.running.exports._source import Source, needs

CHECKED = 16
"""Test images on which the file is compared with the network, spike for spike."""


class Export:
    """``stem.nir``: read back, run, and compared with the network's own stem, spike for spike, before it is handed out.

    An image is the current of every step. A spike is fired where the potential *exceeds* the threshold in NIR and where it
    reaches it here: thresholds are one float32 below ours. Max-pooling of spikes, for which NIR has no word, is a convolution
    with ones, channel by channel, and a threshold of a half. Raises InputError for stems that cannot be said, and if a spike
    differs.
    """

    def write(self, source: Source, folder: Path) -> list[Path]:
        from spikebench.running.exports import _nir_run
        from spikebench.running.exports._stem import chain_of, why_no_more

        nir = needs("nir", "nir")
        model, path = source.model, folder / "stem.nir"
        inputs = model.inputs
        graph = graph_of(chain_of(model), (inputs.channels, inputs.size, inputs.size), nir)
        with storage_errors(folder):
            nir.write(str(path), graph)
        x = source.images(CHECKED)
        if x.dim() == 5:
            raise InputError("NIR's comparison shows images; this data set has sequences")
        differ, spikes = _nir_run.compare(nir.read(str(path)), model, x)
        if differ:
            path.unlink()
            raise InputError(f"{path}: not written: {differ} of {spikes:,} spikes of the stem differ from the network's own")
        with storage_errors(folder):
            said = f"{spikes:,} spikes of {len(x)} test images are the network's own, each of them. {why_no_more(model)}.\n"
            (folder / "stem.txt").write_text(said, encoding="utf-8")
        return [path, folder / "stem.txt"]


def graph_of(chain: Any, shape: tuple[int, int, int], nir: Any) -> Any:
    """A graph from one input to one output; a branch adds to the output."""
    from spikebench.running.exports._stem import shapes

    nodes: dict[str, Any] = {"input": nir.Input({"input": np.array(shape)})}
    edges: list[tuple[str, str]] = []

    def add(layers: Any, before: str, shape: tuple[int, int, int]) -> tuple[str, tuple[int, int, int]]:
        for layer, after in zip(layers, shapes(layers, shape), strict=True):
            for name, node in _nodes(layer, shape, after, nir):
                nodes[name] = node
                edges.append((before, name))
                before = name
            shape = after
        return before, shape

    end, end_shape = add(chain.main, "input", shape)
    nodes["output"] = nir.Output({"output": np.array(end_shape)})
    edges.append((end, "output"))
    if chain.branch:
        edges.append((add(chain.branch, end, end_shape)[0], "output"))
    return nir.NIRGraph(nodes, edges)


def _nodes(layer: Any, shape: tuple[int, int, int], after: tuple[int, int, int], nir: Any) -> list[tuple[str, Any]]:
    from spikebench.running.exports._stem import Conv, Fire

    name = layer.name.replace(".", "_")
    if isinstance(layer, Conv):
        weight, bias = layer.weight.astype(np.float32), layer.bias.astype(np.float32)
        return [(name, _conv(weight, bias, layer.stride, layer.padding, shape, nir))]
    if isinstance(layer, Fire):
        whole = np.ones(after, dtype=np.float32)
        below = np.nextafter(np.float32(layer.v_threshold), np.float32(-np.inf))
        # tau dv/dt = (v_leak - v) + r I in steps of 1: r = 1 lets the input decay, r = tau does not.
        r = 1.0 if layer.decay_input else layer.tau
        return [
            (
                name,
                nir.LIF(
                    tau=whole * np.float32(layer.tau), r=whole * np.float32(r), v_leak=whole * np.float32(layer.v_reset),
                    v_threshold=whole * below, v_reset=whole * np.float32(layer.v_reset),
                ),
            )
        ]  # fmt: skip
    # Channel by channel, but not in groups: nir 1.0.8 takes the input of a grouped convolution to have one channel.
    ones = np.eye(after[0], dtype=np.float32)[:, :, None, None] * np.ones((3, 3), dtype=np.float32)
    count = _conv(ones, np.zeros(after[0], dtype=np.float32), 2, 1, shape, nir)
    return [(f"{name}_count", count), (f"{name}_any", nir.Threshold(np.full(after, 0.5, dtype=np.float32)))]


def _conv(weight: Any, bias: Any, stride: int, padding: int, shape: tuple[int, int, int], nir: Any) -> Any:
    return nir.Conv2d(input_shape=shape[1:], weight=weight, stride=stride, padding=padding, dilation=1, groups=1, bias=bias)
