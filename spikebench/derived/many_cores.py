"""A network on a chip of many cores: joules and seconds of an image, from counts, a chip's figures and a placement."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Literal

from spikebench.derived.chip import Chip, Core, CoreEnergy, CoreTime, Hop, Synapse
from spikebench.derived.mapping import Placement
from spikebench.derived.workload import Load

PARTS = ("synapses", "neurons", "memory", "routing", "static", "beyond")
"""Of an energy. ``beyond``: events of layers whose input is no train of spikes (real numbers, products of two activations): no
spiking chip runs them as they are, and each of their events is charged as one that it does run, so that they are not free."""


@dataclasses.dataclass(frozen=True, slots=True)
class Cost:
    """Of one layer per image, in joules by part. ``active``: of it, what is in proportion to activity; the rest is there in
    silence too.
    """

    parts: dict[str, float]
    active: float

    @property
    def joules(self) -> float:
        return sum(self.parts.values())


def costs(loads: Sequence[Load], chip: Chip, placement: Placement, seconds: float | None) -> list[Cost]:
    """Joules of every layer. ``seconds``: of an image, for static power; None where it is not known, and static power is then not
    charged.
    """
    core, energy = _core(chip), chip.core_energy
    assert energy is not None
    hops = mean_hops(placement, core, len(loads))
    share = _shares(placement, len(loads))
    static = energy.static * placement.chips(core) * (seconds or 0.0)
    return [_cost(load, index, energy, core, placement, hops[index], static * share[index]) for index, load in enumerate(loads)]


def _cost(load: Load, index: int, energy: CoreEnergy, core: Core, placement: Placement, hops: Hop, static: float) -> Cost:
    synapses = events_of(load, core) * of_synapse(energy.synapse, load)
    routing = messages_of(load, index, core, placement) * (energy.message + hops.x * energy.hop.x + hops.y * energy.hop.y)
    standing = load.neurons * load.steps * (energy.access + energy.update)
    spikes = load.spikes * energy.spike
    parts = {"neurons": standing + spikes, "routing": routing, "static": static}
    parts["beyond" if load.needs_numbers else "synapses"] = synapses
    return Cost({part: parts.get(part, 0.0) for part in PARTS}, synapses + routing + spikes)


@dataclasses.dataclass(frozen=True, slots=True)
class Amount:
    """How many of what, at how many joules each: a term of the formula."""

    what: str
    count: float
    joules: float


def amounts(loads: Sequence[Load], chip: Chip, placement: Placement) -> list[Amount]:
    """The formula of ``costs`` with the numbers put in, static power apart; what does not happen is left out."""
    core, energy = _core(chip), chip.core_energy
    assert energy is not None
    found: dict[str, Amount] = {}
    hops = mean_hops(placement, core, len(loads))

    def add(what: str, count: float, joules: float) -> None:
        before = found.get(what, Amount(what, 0.0, joules))
        found[what] = Amount(what, before.count + count, joules)

    for index, load in enumerate(loads):
        kind = kind_of_synapse(load)
        beyond = " beyond spikes" if load.needs_numbers else ""
        add(f"{kind} synaptic events{beyond}", events_of(load, core), of_synapse(energy.synapse, load))
        add("neuron accesses", load.neurons * load.steps, energy.access)
        add("neuron updates", load.neurons * load.steps, energy.update)
        add("spikes", load.spikes, energy.spike)
        messages = messages_of(load, index, core, placement)
        add("messages", messages, energy.message)
        add("hops along the width", messages * hops[index].x, energy.hop.x)
        add("hops along the height", messages * hops[index].y, energy.hop.y)
    return [amount for amount in found.values() if amount.count and amount.joules]


def seconds_of(loads: Sequence[Load], chip: Chip, placement: Placement) -> float | None:
    """Of an image, when images follow each other through a pipeline of layers; None where the chip's times are not public.

    At each step every core works on its neurons, one after another, and sends their messages; meanwhile it receives messages,
    one after another, and works on their synapses. The step ends when the slowest core is done with both, the last message sent
    has been received or the first one has been made, and the barrier is over.
    """
    if chip.step is not None:
        return chip.step * max((load.steps for load in loads), default=0)
    if chip.time is None:
        return None
    core, time = _core(chip), chip.time
    hops = mean_hops(placement, core, len(loads))
    T = max((load.steps for load in loads), default=0)
    barrier = time.barrier_of(placement.tiles_used(core))
    return sum(barrier + _slowest(loads, time, core, placement, hops, t) for t in range(T))


def _slowest(loads: Sequence[Load], time: CoreTime, core: Core, placement: Placement, hops: Sequence[Hop], t: int) -> float:
    """Seconds of step ``t`` without its barrier."""
    made: dict[int, float] = {}
    received: dict[int, float] = {}
    arriving = [_arriving(load, index, core, placement, t) for index, load in enumerate(loads)]
    each = [time.message_in + of_synapse(time.synapse, load) * per for load, (_, per) in zip(loads, arriving, strict=True)]
    last = max((seconds for seconds, (count, _) in zip(each, arriving, strict=True) if count), default=0.0)
    sent = _sent(loads, arriving, t)
    way = max(
        (hop.x * time.hop.x + hop.y * time.hop.y for hop, (count, _) in zip(hops, arriving, strict=True) if count), default=0.0
    )
    for tile in placement.tiles:
        load, (count, per) = loads[tile.layer], arriving[tile.layer]
        if t < load.steps:
            spikes = load.spikes_by_step[t] * tile.share if load.spikes_by_step else 0.0
            own = load.neurons * tile.share * (time.access + time.update) + spikes * time.spike
            made[tile.core] = made.get(tile.core, 0.0) + own + sent[tile.layer] * tile.share * time.message_out
            # A layer's messages are spread over its cores, as its events are.
            work = (
                count * tile.share * (time.message_in + of_synapse(time.synapse, load) * per)
                if count
                else (_events(load, core, t) * tile.share * of_synapse(time.synapse, load))
            )
            received[tile.core] = received.get(tile.core, 0.0) + work
    first = time.access + time.update + time.spike + time.message_out if last else 0.0
    return max(max(made.values(), default=0.0) + last, max(received.values(), default=0.0) + first) + way


def _arriving(load: Load, index: int, core: Core, placement: Placement, t: int) -> tuple[float, float]:
    """(messages at step ``t``, events of each); none for a layer that is not fed by messages."""
    messages = messages_of(load, index, core, placement)
    whole = events_of(load, core)
    if not messages or not whole:
        return 0.0, 0.0
    return messages * _events(load, core, t) / whole, whole / messages


def _sent(loads: Sequence[Load], arriving: Sequence[tuple[float, float]], t: int) -> list[float]:
    """Messages that each layer's neurons send at step ``t``: all that arrive anywhere, in proportion to its spikes."""
    spikes = [load.spikes_by_step[t] if t < len(load.spikes_by_step) else 0.0 for load in loads]
    total, messages = sum(spikes), sum(count for count, _ in arriving)
    return [messages * count / total if total else 0.0 for count in spikes]


def _events(load: Load, core: Core, t: int) -> float:
    """At one step, where they are counted by step; counts of spikes are spread as events are."""
    if t >= len(load.events_by_step) or not load.events:
        return 0.0
    return events_of(load, core) * load.events_by_step[t] / load.events


def events_of(load: Load, core: Core) -> float:
    """Synaptic events of an image on this chip: without graded spikes a count of k is k of them."""
    return load.events if core.graded or load.needs_numbers else load.unit_events


def messages_of(load: Load, index: int, core: Core, placement: Placement) -> float:
    """Messages of an image that arrive at a layer's cores: one for each spike and core. None where the input are no spikes."""
    if load.needs_numbers:
        return 0.0
    return (load.inputs if core.graded else load.unit_inputs) * placement.reached(index, load)


def kind_of_synapse(load: Load) -> Literal["dense", "sparse", "convolution"]:
    """What a layer's connections are."""
    if load.site.operation == "hadamard":
        return "sparse"
    return "convolution" if load.site.operation.startswith("conv") else "dense"


def of_synapse(synapse: Synapse, load: Load) -> float:
    """Of an event in a layer of this kind."""
    found: float = getattr(synapse, kind_of_synapse(load))
    return found


def mean_hops(placement: Placement, core: Core, layers: int) -> list[Hop]:
    """Of a message to each layer, mean over all pairs of a core of the layer before it and one of its own.

    Which layers feed which is not recorded: the one before in order of execution stands for them. Cores are taken in order, tile
    by tile along the rows of the mesh; chips stand in a row.
    """
    width, height = core.mesh
    places: list[list[tuple[int, int]]] = [[] for _ in range(layers)]
    for tile in placement.tiles:
        chip, within = divmod(tile.core, core.per_chip)
        router = within // core.per_tile
        places[tile.layer].append((chip * width + router % width, router // width % height))
    found = [Hop()]
    for before, own in itertools.pairwise(places):
        found.append(Hop(*(_mean_distance([p[axis] for p in before], [p[axis] for p in own]) for axis in (0, 1))))
    return found[:layers]


def _mean_distance(a: Sequence[int], b: Sequence[int]) -> float:
    """Mean of |x - y| over all pairs, in time that grows with the number of different places."""
    if not a or not b:
        return 0.0
    left, right = Counter(a), Counter(b)
    total = sum(n * m * abs(x - y) for x, n in left.items() for y, m in right.items())
    return total / (len(a) * len(b))


def _shares(placement: Placement, layers: int) -> list[float]:
    """Of the cores, by layer: a core that layers share is divided evenly among its tiles."""
    per_core: dict[int, int] = {}
    for tile in placement.tiles:
        per_core[tile.core] = per_core.get(tile.core, 0) + 1
    found = [0.0] * layers
    for tile in placement.tiles:
        found[tile.layer] += 1 / per_core[tile.core] / placement.cores
    return found


def _core(chip: Chip) -> Core:
    assert chip.core is not None
    return chip.core
