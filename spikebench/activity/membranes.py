"""Neurons that nobody declared: where a spike gates the membrane that decides about the next one, arithmetic on states is taken
for synapses.

A neuron written by hand is a few operations, ``mem = 0.25 * mem * (1 - spike) + x`` and ``spike = (mem > 0.5).float()``. Its
product of two activations cannot be told from a gate by itself. What tells it is the circle: the outcome of a threshold is a
factor of the product, and the product reaches a threshold again, element by element. Gates, masks and attention have none.

In the last step, which is the only one where T = 1, the circle is open: the reset membrane waits for a step that does not come.
A product with a threshold's outcome that nothing in the pass uses, and that is no output of the network, is such a state.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from spikebench.activity.tracking import Trace, Tracker, storage_key

Key = tuple[str, str, int]
aten = torch.ops.aten

THRESHOLDS = frozenset(
    getattr(aten, name)
    for word in ("gt", "ge", "lt", "le", "sign", "sgn", "heaviside", "round", "floor", "ceil", "trunc")
    for name in (word, f"{word}_")
)
"""What hand-written neurons fire with; integer neurons round."""


class Membranes:
    """Follows thresholds' outcomes and products of them through one pass. ``found``: products that feed a threshold, ``unused``:
    those that feed nothing so far, by where they ran, with the name of the module's class.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._waiting = False
        self.found: dict[Key, str] = {}
        self.unused: dict[Key, str] = {}

    def clear(self) -> None:
        self.found.clear()
        self.unused.clear()
        self._waiting = False

    def saw(self, packet: object, parents: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """An operation has run and its rule has set its outputs' origins."""
        if self.unused:  # a view, or what is written over the product, is still the product
            kept = {storage_key(output) for output in outputs}
            self.used(parent for parent in parents if storage_key(parent) not in kept)
        if packet not in THRESHOLDS and not self._waiting:
            return
        traces = [origin.trace for parent in parents if (origin := self._tracker.get(parent)) is not None and origin.trace]
        numbers = any(output.is_floating_point() for output in outputs)
        # A truth value that Python reads, or that only counts, guards; as a number it is a spike.
        if numbers:
            for trace in traces:
                self.found.update(trace.decides)
        if packet in THRESHOLDS:
            products = {key: name for trace in traces for key, name in trace.products.items()}
            if numbers:
                self.found.update(products)
            for output in outputs:
                origin = self._tracker.get(output)
                if origin is not None and origin.activation:
                    self._tracker.set(output, replace(origin, trace=Trace(True, {}, {} if numbers else products)))
            self._waiting |= bool(products)

    def used(self, tensors: Iterable[Tensor]) -> None:
        """An operation reads ``tensors``, or they are the network's outputs."""
        for tensor in tensors:
            origin = self._tracker.get(tensor)
            if origin is not None and origin.trace is not None:
                for key in origin.trace.products:
                    self.unused.pop(key, None)

    def product(self, key: Key, name: str, out: Tensor) -> None:
        """An elementwise product of two activations was counted as ``key``, in a module of class ``name``."""
        origin = self._tracker.get(out)
        if origin is not None and origin.trace is not None and origin.trace.spikes:
            trace = replace(origin.trace, products={**origin.trace.products, key: name})
            self._tracker.set(out, replace(origin, trace=trace))
            self.unused[key] = name

    def notices(self, synaptic: Iterable[str], any_neurons: bool) -> Mapping[str, tuple[int, str]]:
        """Scope -> how many of its products are a membrane's, and a sentence about them. ``synaptic``: scopes of layers."""
        by_scope: dict[str, list[str]] = {}
        for (scope, _, _), name in {**self.found, **self.unused}.items():
            by_scope.setdefault(scope, []).append(name)
        layers, circles = set(synaptic), {scope for scope, _, _ in self.found}
        return {
            scope: (len(names), _sentence(len(names), names[0], scope in circles, _holds(scope, layers), any_neurons))
            for scope, names in by_scope.items()
        }


def _holds(scope: str, layers: set[str]) -> bool:
    return any(layer == scope or not scope or layer.startswith(f"{scope}.") for layer in layers)


def _sentence(products: int, name: str, circle: bool, has_layers: bool, any_neurons: bool) -> str:
    many = f"{products} elementwise products" if products > 1 else "an elementwise product"
    ending, them = ("", "them") if products > 1 else ("s", "it")
    feeds = f"feed{ending} a threshold that gates {them}, as membranes do"
    waits = f"wait{ending} for a next step, as a membrane after its reset does"
    other = "" if any_neurons else "; no neuron layer was recognised"
    declare = ", or give the network an attribute neuron_classes of that value"
    way = (
        f"make the neuron that is written into {name} a module of its own and pass neurons=(its class,){declare}"
        if has_layers
        else f"if {name} is a neuron, pass neurons=({name},){declare}"
    )
    return f"{many} {feeds if circle else waits}, but count{ending} as synaptic{other}: {way}"
