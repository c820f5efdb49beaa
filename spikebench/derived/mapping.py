"""Layers onto the cores of a chip: greedily, in order, the same each time; and what does not fit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from spikebench.derived.chip import Core
from spikebench.derived.workload import Load

LIMITS = ("neurons", "synapse memory", "fan-in")


@dataclasses.dataclass(frozen=True, slots=True)
class Tile:
    """The part of a layer in one core: ``channels`` at ``positions``. ``share``: of the layer's neurons."""

    layer: int
    core: int
    channels: int
    positions: int
    share: float


@dataclasses.dataclass(frozen=True, slots=True)
class Placement:
    """``tiles``: by core. ``cores``: how many are used. ``limits``: layer -> what kept more of it out of one core, "" where one
    holds it all. ``groups``: layer -> how many groups of channels it is cut into; ``runs``: how many positions are in a tile.
    """

    tiles: tuple[Tile, ...]
    cores: int
    limits: tuple[str, ...]
    groups: tuple[int, ...]
    runs: tuple[int, ...]

    def chips(self, core: Core) -> int:
        return -(-self.cores // core.per_chip)

    def tiles_used(self, core: Core) -> int:
        """Routers with a core that is in use, of the chip that has the most."""
        return -(-min(self.cores, core.per_chip) // core.per_tile)

    def reached(self, layer: int, load: Load) -> float:
        """Cores of a layer that one of its inputs is sent to, on average.

        Channels of one position are in ``groups`` cores. A linear layer's input belongs to one position. A convolution's is used
        at ``overlap`` positions of as many rows; positions lie row by row, and ``runs`` of them in one core.
        """
        run, rows = self.runs[layer], load.overlap
        side = math.sqrt(load.positions)
        by_row = rows * (1 + (rows - 1) / run)
        at_once = 1 + (rows - 1) * (side + 1) / run
        return self.groups[layer] * min(by_row, at_once, math.ceil(load.positions / run))

    def limit(self) -> str:
        """What runs out for most of the cores that the layers are spread over."""
        count = dict.fromkeys(LIMITS, 0)
        for tile in self.tiles:
            if self.limits[tile.layer]:
                count[self.limits[tile.layer]] += 1
        most = max(count, key=lambda name: count[name])
        return most if count[most] else ""


class DoesNotFitError(Exception):
    """Why a network cannot be mapped onto a chip, however many of them there are."""


def place(loads: Sequence[Load], core: Core) -> Placement:
    """Every layer in turn, next to the last one: into the core at hand as long as a part of it fits, else into the next.

    A part is a block of channels and positions. As many channels as the memory holds the weights of (shared weights are kept once
    for all positions in a core, others for each neuron); as many positions as there is room for their neurons and for the inputs
    that they receive. Raises DoesNotFitError for a layer of which not one neuron fits.
    """
    bits = core.memory * 8
    tiles: list[Tile] = []
    limits, groups, runs = [], [], []
    at = 0
    room, memory, axons = float(core.neurons), bits, float(core.fan_in)
    for index, load in enumerate(loads):
        channels, positions, limit = _block(load, core)
        limits.append(limit)
        groups.append(-(-load.channels // channels))
        runs.append(positions)
        for first in range(0, load.channels, channels):
            wide = min(channels, load.channels - first)
            for start in range(0, load.positions, positions):
                run = min(positions, load.positions - start)
                needs = (wide * run, _memory(load, core, wide, run), _axons(load, run))
                if tiles and any(need > left for need, left in zip(needs, (room, memory, axons), strict=True)):
                    at, room, memory, axons = at + 1, core.neurons, bits, core.fan_in
                room, memory, axons = room - needs[0], memory - needs[1], axons - needs[2]
                tiles.append(Tile(index, at, wide, run, wide * run / (load.channels * load.positions)))
    return Placement(tuple(tiles), at + 1 if tiles else 0, tuple(limits), tuple(groups), tuple(runs))


def _block(load: Load, core: Core) -> tuple[int, int, str]:
    """(channels, positions) of the largest block in an empty core, and what keeps it from being larger."""
    name = load.site.scope or load.site.operation
    if _axons(load, 1) > core.fan_in:
        raise DoesNotFitError(f"{name}: a neuron has {load.fan_in:,} inputs, a core {core.fan_in:,} at most (fan-in)")
    weights = _memory(load, core, 1, 1)
    held = math.floor(core.memory * 8 / weights) if weights else load.channels
    if not held:
        need = f"{load.fan_in:,} weights of {core.weight_bits} bits"
        raise DoesNotFitError(f"{name}: a neuron has {need}, a core {core.memory:,.0f} bytes (synapse memory)")
    channels = min(load.channels, held, core.neurons)
    limit = "" if channels == load.channels else "synapse memory" if held < core.neurons else "neurons"
    by_neurons = max(1, core.neurons // channels)
    by_axons = math.floor(1 + (core.fan_in - load.fan_in) * load.overlap / load.fan_in) if weights else load.positions
    if load.overlap == 1 and weights:
        by_axons = core.fan_in // load.fan_in
    by_memory = load.positions if core.shares_weights or not weights else max(1, held // channels)
    positions = min(load.positions, by_neurons, max(1, by_axons), by_memory)
    if positions < load.positions and not limit:
        least = min((by_neurons, "neurons"), (by_memory, "synapse memory"), (by_axons, "fan-in"))
        limit = least[1]
    return channels, positions, limit


def _memory(load: Load, core: Core, channels: int, positions: int) -> float:
    """Bits of the synapses of a block."""
    if not load.weights:
        return 0.0
    return channels * (1 if core.shares_weights else positions) * load.fan_in * core.weight_bits


def _axons(load: Load, positions: int) -> float:
    """Sources of a run of positions: each position more along a row brings a column of new inputs."""
    return load.fan_in * (1 + (positions - 1) / load.overlap) if load.weights else 0.0
