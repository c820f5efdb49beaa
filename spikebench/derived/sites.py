"""What one counting pass found at each operation site and neuron layer, as plain rows; energy and conventions are made from
these.
"""

from __future__ import annotations

from dataclasses import dataclass

from spikebench.core.values import ValueKind

Number = int | float

SYNAPTIC = frozenset(
    {"conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "linear", "matmul", "hadamard"}
)
"""Operations that are synaptic: their rows have MACs and events. All other rows have ``other_ops`` alone."""

PRODUCTS = frozenset({"matmul", "hadamard"})
"""Synaptic operations between two activations, without weights."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """One operation of the network, summed over all its calls (time steps, samples, batches).

    ``site``: place in order of execution. ``scope``: path of the module in which it ran. ``input``: what its input holds
    (``binary``, ``integer``, ``real``); ``left x right`` for a product of two activations. ``known_by``: ``declared`` by what
    made the input, or ``observed`` in all values that were seen.

    ``dense_macs``: multiply-accumulates if nothing is zero, taps on zero padding included; ``dense_macs_inside``: without
    these. ``events``: nonzero input x existing tap; for a product, both operands nonzero. ``events_left`` and ``events_right``:
    only that operand asked (the right operand of a layer is its weights, and all of them exist). ``unit_acs``: an integer k
    counts as k unit spikes, sum of |k| x taps, of |a||b| for a product, declared scale taken out; None for real input.
    ``nonzero_fraction``, ``mean_value``, ``maximum``: of the input; of the left operand of a product.

    ``other_ops``: what is not synaptic: for a synaptic row its bias additions, else elements of the row's own operation
    (BatchNorm and other affine maps 2 per element written, pooling one per element of its windows, reductions one per element
    read).

    Sums over one pass are int; a row made of records holds means per image, which may be fractions.

    ``bytes_read`` and ``bytes_written``: as a machine without caches would move them, in the number format of this pass, weights
    once for each image. ``input_elements``, ``output_elements``: how many numbers are activations; ``weight_elements``: how many
    are not, biases among them, once for each call.
    """

    site: int
    scope: str
    operation: str
    input: str = ""
    known_by: str = ""
    calls: int = 0
    dense_macs: Number = 0
    dense_macs_inside: Number = 0
    events: Number = 0
    events_left: Number = 0
    events_right: Number = 0
    unit_acs: Number | None = 0
    nonzero_fraction: float | None = None
    mean_value: float | None = None
    maximum: float | None = None
    other_ops: Number = 0
    bytes_read: Number = 0
    bytes_written: Number = 0
    input_elements: Number = 0
    output_elements: Number = 0
    weight_elements: Number = 0

    @property
    def synaptic(self) -> bool:
        return self.operation in SYNAPTIC

    @property
    def is_product(self) -> bool:
        return self.operation in PRODUCTS

    @property
    def kinds(self) -> tuple[str, ...]:
        """One word for a layer, two for a product."""
        return tuple(self.input.split(" x "))

    @property
    def accumulates(self) -> bool:
        """Whether an event is an addition alone.

        A layer with spikes or counts of spikes as input adds weights. A product adds if one operand is binary (the other one's
        values are gated by spikes, whatever they are) or if both count spikes; real numbers need a multiplier.
        """
        if self.is_product:
            return "binary" in self.kinds or "real" not in self.kinds
        return self.input != "real"


@dataclass(frozen=True, slots=True, kw_only=True)
class NeuronLayer:
    """One neuron layer, summed over all samples of the pass.

    ``neurons``: how many there are (elements of one time step of one sample). ``spikes``: nonzero outputs. ``firing_rate``:
    spikes per neuron and step; ``firing_rate_by_step``: the same for each time step, () if unknown. ``dead_fraction``: neurons
    that no sample made fire; ``saturated_fraction``: neurons that fired at every step of every sample. ``membrane_updates``: one
    per neuron and step. ``emits``: what its output holds.
    """

    site: int
    scope: str
    kind: str
    emits: ValueKind
    known_by: str
    neurons: int
    time_steps: int
    samples: int
    spikes: int
    firing_rate: float
    firing_rate_by_step: tuple[float, ...]
    dead_fraction: float
    saturated_fraction: float
    membrane_updates: int
    bytes_read: int
    bytes_written: int


def neuron_site(site: int, scope: str, membrane_updates: Number) -> Site:
    """A neuron layer as a row of operations, for conventions that charge neurons too."""
    return Site(site=site, scope=scope, operation="neuron", input="real", other_ops=membrane_updates)


@dataclass(frozen=True, slots=True)
class NotCounted:
    """An operation whose arithmetic could not be counted, where it ran, how often, and why."""

    scope: str
    operation: str
    calls: int
    reason: str
