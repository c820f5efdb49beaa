"""A network on an array of processing elements, layer by layer: cycles, operations and traffic, spiking or as its dense twin."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

from spikebench.derived.chip import Array, ArrayEnergy, Chip
from spikebench.derived.many_cores import PARTS, Amount, Cost
from spikebench.derived.terms import twin_bits
from spikebench.derived.workload import Load

Mode = Literal["spiking", "quantised", "dense"]
"""``quantised``: the artificial network of equal capacity, run once, activations of ceil(log2(T + 1)) bits (arXiv 2409.08290);
``dense``: the same with activations of the array's own width."""
MAC_BITS = 8
"""Of the activations of the MACs that an array's energy is given for; a narrower multiplier is taken to cost in proportion."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Shape:
    """One layer as the array runs it: ``cycles``; ``operations``; bits that move between the elements and the buffer, and beyond
    it: ``weights``, ``inputs``, ``sums`` (partial sums and outputs), ``membranes``, ``dram``.
    """

    cycles: float
    operations: float
    weights: float
    inputs: float
    sums: float
    membranes: float
    dram: float


def costs(loads: Sequence[Load], chip: Chip, mode: Mode = "spiking", seconds: float | None = None) -> list[Cost]:
    """Joules of every layer, as ``many_cores.costs``. Products of two activations and real inputs run as MACs."""
    array, energy = _of(chip)
    assert energy is not None
    T = max((load.steps for load in loads), default=1)
    shapes = [_shape(load, array, mode, T) for load in loads]
    cycles = sum(shape.cycles for shape in shapes)
    time = cycles / array.clock if seconds is None else seconds
    return [
        _cost(load, shape, array, energy, mode, T, energy.static * time * (shape.cycles / cycles if cycles else 0.0))
        for load, shape in zip(loads, shapes, strict=True)
    ]


def amounts(loads: Sequence[Load], chip: Chip) -> list[Amount]:
    """The formula of ``costs`` for the spiking network with the numbers put in, static power apart."""
    array, energy = _of(chip)
    assert energy is not None
    T = max((load.steps for load in loads), default=1)
    shapes = [(load, _shape(load, array, "spiking", T)) for load in loads]
    spiking = [(load, shape) for load, shape in shapes if not load.needs_numbers]
    found = [
        Amount("additions", sum(load.unit_events for load, _ in spiking), energy.ac),
        Amount("idle cycles", sum(max(0.0, shape.operations - load.events) for load, shape in spiking), energy.idle),
        Amount("MACs beyond spikes", sum(shape.operations for load, shape in shapes if load.needs_numbers), energy.mac),
        Amount("neuron updates", sum(load.neurons * load.steps for load in loads if load.fires), energy.update),
        *(
            Amount(f"bits of {name} in SRAM", sum(getattr(shape, name) for _, shape in shapes), energy.sram)
            for name in ("weights", "inputs", "sums", "membranes")
        ),
        Amount("bits in DRAM", sum(shape.dram for _, shape in shapes), energy.dram),
    ]
    return [amount for amount in found if amount.count and amount.joules]


def seconds_of(loads: Sequence[Load], chip: Chip, mode: Mode = "spiking") -> float:
    """Of an image: the cycles of every layer, one layer after another."""
    array, _ = _of(chip)
    T = max((load.steps for load in loads), default=1)
    return sum(_shape(load, array, mode, T).cycles for load in loads) / array.clock


def utilisation(loads: Sequence[Load], chip: Chip) -> float:
    """Operations done of those that the elements could do in the same cycles."""
    array, _ = _of(chip)
    T = max((load.steps for load in loads), default=1)
    shapes = [_shape(load, array, "spiking", T) for load in loads]
    possible = sum(shape.cycles for shape in shapes) * array.rows * array.columns * array.steps
    return sum(shape.operations for shape in shapes) / possible if possible else 0.0


def _shape(load: Load, array: Array, mode: Mode, T: int) -> _Shape:
    """Cycles fill whole passes: ``rows`` and ``columns`` that a layer has too little for stand idle."""
    spiking = mode == "spiking"
    runs = load.steps if spiking else 1
    dense = load.site.dense_macs / load.steps * runs
    if load.site.is_product:
        channels, positions = array.columns, max(1, math.ceil(load.neurons / array.columns))
    else:
        channels, positions = load.channels, load.positions
    stationary = load.fan_in if array.dataflow == "weight" else positions
    streamed = positions if array.dataflow == "weight" else load.fan_in
    passes = math.ceil(stationary / array.rows) * math.ceil(channels / array.columns)
    together = array.steps if spiking else 1
    cycles = passes * streamed * math.ceil(runs / together) if dense else 0
    skipped = load.density if spiking and array.skips_zeros and not load.needs_numbers else 1.0
    width = _input_bits(load, array, mode, T)
    inputs = load.site.input_elements / load.steps * runs
    outputs = load.neurons * runs
    # Weights that stay are fetched once; else once for every group of positions.
    again = 1 if array.dataflow == "weight" else math.ceil(positions / array.rows) * math.ceil(runs / together)
    sums_again = math.ceil(load.fan_in / array.rows) if array.dataflow == "weight" else 1
    weights = load.weights * array.weight_bits
    membranes = 2 * load.neurons * runs * array.accumulator_bits if spiking and load.fires and array.membranes == "sram" else 0
    moved = inputs * width * math.ceil(channels / array.columns)
    out_width = 1 if spiking and load.fires else _twin_width(array, mode, T)
    sums = outputs * (2 * (sums_again - 1) * array.accumulator_bits + out_width)
    held = (inputs * width + outputs * out_width) / runs
    dram = (weights if load.weights * array.weight_bits > array.sram * 8 else 0) + (held * runs if held > array.sram * 8 else 0)
    return _Shape(cycles * skipped, dense * skipped, weights * again, moved, sums if dense else 0, membranes, dram)


def _input_bits(load: Load, array: Array, mode: Mode, T: int) -> int:
    """Of one number that a layer reads."""
    if mode != "spiking":
        return array.activation_bits if load.needs_numbers and not load.site.is_product else _twin_width(array, mode, T)
    if load.site.input == "integer":
        return max(1, math.ceil(math.log2((load.site.maximum or 1) + 1)))
    return 1 if load.site.input == "binary" else array.activation_bits


def _twin_width(array: Array, mode: Mode, T: int) -> int:
    return twin_bits(T) if mode == "quantised" else array.activation_bits


def _cost(load: Load, shape: _Shape, array: Array, energy: ArrayEnergy, mode: Mode, T: int, static: float) -> Cost:
    spiking = mode == "spiking"
    beyond = 0.0
    if not spiking or load.needs_numbers:
        width = _input_bits(load, array, mode, T)
        operations = active = shape.operations * energy.mac * (min(width, MAC_BITS) / MAC_BITS if mode == "quantised" else 1.0)
        if spiking:
            beyond, operations, active = operations, 0.0, operations
    else:
        # A count of k spikes is k additions, or as many steps of a bit-serial one.
        operations = load.unit_events * energy.ac + max(0.0, shape.operations - load.events) * energy.idle
        active = load.unit_events * energy.ac - (0.0 if array.skips_zeros else load.events * energy.idle)
    neurons = load.neurons * load.steps * energy.update if spiking and load.fires else 0.0
    moved = shape.weights + shape.inputs + shape.sums + shape.membranes
    parts = {
        "synapses": operations,
        "neurons": neurons,
        "memory": moved * energy.sram + shape.dram * energy.dram,
        "static": static,
        "beyond": beyond,
    }
    return Cost({part: parts.get(part, 0.0) for part in PARTS}, active)


def _of(chip: Chip) -> tuple[Array, ArrayEnergy | None]:
    assert chip.array is not None
    return chip.array, chip.array_energy
