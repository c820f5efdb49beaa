"""What a network asks of a chip, per image: its synaptic sites, each with the neurons that it feeds, read from counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from spikebench.derived.counted import Counted
from spikebench.derived.sites import Site


@dataclasses.dataclass(frozen=True, slots=True)
class Load:
    """One layer. Amounts are per image over all T, unless said otherwise.

    ``neurons``: outputs of one step, each the sum of ``fan_in`` inputs; ``channels`` x ``positions`` of them, where those of a
    channel share their weights. ``overlap``: at how many positions along a row an input is used (3 for a 3 x 3 convolution of
    stride 1, 1 for a linear layer). ``weights``: how many there are, biases left out.

    ``events``, ``unit_events``: counts of spikes as one event or as k of them; ``inputs``, ``unit_inputs``: the same of what
    arrives, before it fans out. ``events_by_step``: events of each step, even ones where steps were not counted apart
    (``even``). ``steps``: how often the layer runs; once behind a mean over time. ``spikes``: that its neurons send;
    ``fires``: whether it has neurons at all, else it is sums.
    """

    site: Site
    neurons: float
    channels: int
    positions: int
    fan_in: int
    overlap: float
    weights: int
    events: float
    unit_events: float
    inputs: float
    unit_inputs: float
    events_by_step: tuple[float, ...]
    even: bool
    steps: int
    spikes: float = 0.0
    spikes_by_step: tuple[float, ...] = ()
    fires: bool = False

    @property
    def needs_numbers(self) -> bool:
        """Whether its input are numbers that no train of spikes stands for: real ones, or a second activation as the weights."""
        return self.site.is_product or self.site.input == "real"

    @property
    def density(self) -> float:
        """Events for each MAC of the dense layer."""
        return self.events / self.site.dense_macs if self.site.dense_macs else 0.0


def loads(job: Counted) -> list[Load]:
    """The layers of a job in order of execution, with the neurons that each of them feeds.

    Records do not say which layer feeds which neurons. A neuron layer is taken to be behind the layer that has as many outputs
    and the longest common path with it; one that has none (behind a sum of streams) is a layer without synapses.
    """
    last = next((site for site in reversed(job.sites) if site.operation == "linear"), None)
    found = [_load(site, job, once=site is last and site.input == "real") for site in job.sites if site.synaptic]
    behind = _neurons_behind(found, job)
    whole = [_with_neurons(load, behind.get(place), job) for place, load in enumerate(found)]
    alone = [scope for scope in job.membrane if scope not in behind.values()]
    return [*whole, *(_alone(scope, job) for scope in alone)]


def _load(site: Site, job: Counted, once: bool) -> Load:
    steps = 1 if once else job.time_steps
    outputs = site.output_elements / steps
    fan_in = max(1, round(site.dense_macs / site.output_elements)) if site.output_elements else 1
    per_channel = fan_in + (1 if site.other_ops else 0)
    channels = max(1, round(site.weight_elements / per_channel)) if site.weight_elements else 1
    positions = max(1, round(outputs / channels))
    # A kernel of k x k with stride s is used (k / s)^2 times for each input, whatever the padding.
    uses = site.dense_macs / (site.input_elements * channels) if site.input_elements and not site.is_product else 1.0
    inputs = (site.nonzero_fraction or 0.0) * site.input_elements
    unit_inputs = abs(site.mean_value or 0.0) * site.input_elements if site.input == "integer" else inputs
    by_step = [events for _, events in sorted(job.events_by_step.get(site.site, {}).items())]
    even = len(by_step) != steps
    return Load(
        site=site,
        neurons=outputs,
        channels=channels,
        positions=positions,
        fan_in=fan_in,
        overlap=max(1.0, math.sqrt(uses)) if site.operation.startswith("conv") else 1.0,
        weights=round(channels * fan_in) if site.weight_elements else 0,
        events=site.events,
        unit_events=site.events if site.unit_acs is None else site.unit_acs,
        inputs=inputs,
        unit_inputs=unit_inputs,
        events_by_step=(site.events / steps,) * steps if even else tuple(by_step),
        even=even,
        steps=steps,
    )


def _neurons_behind(found: Sequence[Load], job: Counted) -> dict[int, str]:
    """Place of a layer -> the scope of the neurons behind it."""
    pairs = []
    for order, (scope, updates) in enumerate(job.membrane.items()):
        for place, load in enumerate(found):
            shared = _shared(scope, load.site.scope)
            if load.neurons == updates / job.time_steps:
                # Of two layers of one module the later one is nearer to the neurons; strangers are taken in order.
                pairs.append((-shared, order, -place if shared else place, place, scope))
    behind: dict[int, str] = {}
    for *_, place, scope in sorted(pairs):
        if place not in behind and scope not in behind.values():
            behind[place] = scope
    return behind


def _shared(a: str, b: str) -> int:
    """How many names two paths begin with alike."""
    count = 0
    for x, y in zip(a.split("."), b.split("."), strict=False):
        if x != y:
            break
        count += 1
    return count


def _with_neurons(load: Load, scope: str | None, job: Counted) -> Load:
    if scope is None:
        return load
    spikes = job.spikes.get(scope, 0.0)
    return dataclasses.replace(load, spikes=spikes, spikes_by_step=_by_step(scope, spikes, job), fires=True)


def _alone(scope: str, job: Counted) -> Load:
    neurons = job.membrane[scope] / job.time_steps
    spikes = job.spikes.get(scope, 0.0)
    site = next(site for site in job.sites if site.operation == "neuron" and site.scope == scope)
    nothing = (0.0,) * job.time_steps
    return Load(
        site, neurons, 1, max(1, round(neurons)), 1, 1.0, 0, 0.0, 0.0, 0.0, 0.0, nothing, False, job.time_steps,
        spikes, _by_step(scope, spikes, job), True,
    )  # fmt: skip


def _by_step(scope: str, spikes: float, job: Counted) -> tuple[float, ...]:
    """A layer's spikes at each step; evenly, where rates by step are not known."""
    rates = [rate for _, rate in sorted(job.rates_by_step.get(scope, {}).items())]
    if len(rates) != job.time_steps or not sum(rates):
        return (spikes / job.time_steps,) * job.time_steps
    return tuple(spikes * rate / sum(rates) for rate in rates)
