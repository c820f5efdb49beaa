"""A NIR graph, run by NIR's own equations in steps of 1, so that what was written can be compared with what was meant."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from spikebench.networks.network import Network


def run(graph: Any, x: Tensor, T: int) -> Tensor:
    """Outputs (T, B, ...) of images (B, C, H, W) whose values are the current of every step, in float64.

    Nodes run in an order in which each comes behind what feeds it; what several edges bring is added.
    """
    state: dict[str, Tensor] = {}
    found: list[Tensor] = []
    for _ in range(T):
        values: dict[str, Tensor] = {}
        for name in _order(graph):
            arriving = [values[a] for a, b in graph.edges if b == name]
            values[name] = x.double() if not arriving else _node(graph.nodes[name], sum(arriving[1:], arriving[0]), state, name)
        found.append(values["output"])
    return torch.stack(found)


def compare(graph: Any, model: Network, x: Tensor) -> tuple[int, int]:
    """(values of the output that differ from the network's own stem, how many are not 0 there), in float64."""
    exact = copy.deepcopy(model).double().eval()
    with torch.no_grad():
        stem: Any = exact.stem
        own: Tensor = stem(x.double().expand(model.T, *x.shape))
        theirs = run(graph, x, model.T)
    return int((own != theirs).sum()), int(own.ne(0).sum())


def _order(graph: Any) -> list[str]:
    order: list[str] = []
    waiting = dict.fromkeys(graph.nodes)
    while waiting:
        ready = [name for name in waiting if all(a in order for a, b in graph.edges if b == name)]
        if not ready:
            raise ValueError("the graph has a cycle")
        order += ready
        for name in ready:
            del waiting[name]
    return order


def _node(node: Any, x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    kind = type(node).__name__
    if kind == "Conv2d":
        weight, bias = (torch.as_tensor(array).double() for array in (node.weight, node.bias))
        stride, padding = (tuple(map(int, _pair(value))) for value in (node.stride, node.padding))
        return F.conv2d(x, weight, bias, stride, padding, groups=int(node.groups))
    if kind == "Threshold":
        return (x > torch.as_tensor(node.threshold).double()).double()
    if kind == "LIF":
        tau, r, leak, threshold, reset = (
            torch.as_tensor(array).double() for array in (node.tau, node.r, node.v_leak, node.v_threshold, node.v_reset)
        )
        v = state.get(name, torch.zeros_like(x) + leak)
        v = v + ((leak - v) + r * x) / tau
        spikes = (v > threshold).double()
        state[name] = torch.where(spikes > 0, reset.expand_as(v), v)
        return spikes
    return x


def _pair(value: Any) -> tuple[Any, Any]:
    try:
        a, b = value
    except TypeError:
        return value, value
    return a, b
