"""Counts on real test images: synaptic operations of every layer, spikes of every neuron, and what could not be counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from spikebench.core.metrics import VALUE_FREE, Direction, Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record, Scalar

if TYPE_CHECKING:
    from spikebench.activity import ActivityAnalysis
    from spikebench.derived.sites import NeuronLayer, Site


def _count(
    name: str, title: str, symbol: str = "", unit: str = "1", direction: Direction | None = "lower", note: str = "", **more: Any
) -> Metric:
    display: dict[str, Any] = {"display_unit": "M", "display_factor": 1e-6, "combine": "sum"}
    return Metric(name, unit, direction, "counted", title, symbol, exact=True, note=note, **{**display, **more})


def _fraction(name: str, title: str, symbol: str = "", direction: Direction | None = None, **more: Any) -> Metric:
    return Metric(name, "1", direction, "counted", title, symbol, "%", 100.0, 2, combine="mean", exact=True, **more)


PER_IMAGE = "per image over all T"
PARAMETERS = _count(
    "parameters", "Parameters", note="learned numbers, biases and BatchNorm's affine ones among them", headline=20
)
DENSE_MACS = _count("dense_macs", "Dense MACs", note=f"if no input were zero, {PER_IMAGE}; taps on padding included")
INSIDE = _count("dense_macs_inside", "Dense MACs inside", note=f"taps on zero padding left out, {PER_IMAGE}")
EVENTS = _count(
    "events",
    "SOPs",
    r"\mathrm{SOPs}",
    note=f"events: nonzero input x existing tap; products need both nonzero; {PER_IMAGE}",
    headline=30,
)
BY_STEP = _count(
    "events_by_step", "SOPs by step", note=f"events at time step t, {PER_IMAGE.removesuffix(' over all T')}", combine=None
)
LEFT = _count("events_left", "Events (left)", note=f"products: left operand nonzero, {PER_IMAGE}")
RIGHT = _count("events_right", "Events (right)", note=f"products: right operand nonzero, {PER_IMAGE}")
UNIT_ACS = _count(
    "unit_acs",
    "Unit ACs",
    note=f"an integer k counts as k unit spikes; layers with real input are left out; {PER_IMAGE}",
    headline=40,
)
OTHER_OPS = _count("other_ops", "Other operations", note=f"biases, norms, pooling, residual sums, membrane updates, {PER_IMAGE}")
SPIKES = _count("spikes", "Spikes", note=PER_IMAGE)
MEMBRANE = _count("membrane_updates", "Membrane updates", note=f"one per neuron and step, {PER_IMAGE}")
NEURONS = _count("neurons", "Neurons")
READ = _count("bytes_read", "Bytes read", unit="B", display_unit="MB", note=f"without caches, fp32, {PER_IMAGE}")
WRITTEN = _count("bytes_written", "Bytes written", unit="B", display_unit="MB", note=f"without caches, fp32, {PER_IMAGE}")
INPUTS = _count("input_elements", "Inputs read", direction=None, note=f"activations, without reuse, {PER_IMAGE}")
OUTPUTS = _count("output_elements", "Outputs written", direction=None, note=f"activations, {PER_IMAGE}")
WEIGHTS = _count("weight_elements", "Weights", direction=None, note="size of the layer's weight")
STEPS = Metric("time_steps", "1", None, "counted", "Time steps", "T", digits=0, exact=True)
RATE = _fraction("firing_rate", "Firing rate", direction="lower", note="spikes per neuron and time step", headline=60)
DEAD = _fraction("dead_neurons", "Dead neurons", direction="lower", note="never fire on any of the images")
SATURATED = _fraction("saturated_neurons", "Saturated neurons", direction="lower", note="fire at every step of every image")
NONZERO = _fraction("nonzero_fraction", "Nonzero input", note="of a layer's input; of the left operand of a product")
MEAN = Metric("mean_value", "1", None, "counted", "Mean input", exact=True)
MAXIMUM = Metric("maximum", "1", None, "counted", "Largest input", exact=True)

_SITE_METRICS = (DENSE_MACS, INSIDE, EVENTS, UNIT_ACS, NONZERO, MEAN, MAXIMUM, OTHER_OPS, INPUTS, OUTPUTS, WEIGHTS)


class Harness:
    """One observed pass over test images, in fp32 and in evaluation mode, the network as declared: without shortcuts."""

    @dataclass(frozen=True)
    class Options:
        """``samples``: how many images, evenly spaced over the split; 0 takes all. ``batch_size`` changes speed alone.

        ``split``: where they are from; a search sees no test images and asks for validation.
        """

        samples: int = 256
        batch_size: int = 64
        split: Literal["test", "validation"] = "test"

        def __post_init__(self) -> None:
            if self.samples < 0 or self.batch_size < 1:
                raise ValueError("samples must be at least 0 and batch_size at least 1")

    metrics = (
        *(
            PARAMETERS,
            DENSE_MACS,
            INSIDE,
            EVENTS,
            BY_STEP,
            LEFT,
            RIGHT,
            UNIT_ACS,
            OTHER_OPS,
            SPIKES,
            MEMBRANE,
            NEURONS,
            READ,
            WRITTEN,
        ),
        *(INPUTS, OUTPUTS, WEIGHTS, STEPS, RATE, DEAD, SATURATED, NONZERO, MEAN, MAXIMUM),
    )
    version = 1
    needs_weights = True
    exclusive = False
    resumes = False
    stage = False

    def run(self, subject: Subject, options: Options) -> Iterator[Record]:
        """First the whole network, then its operation sites (conditions ``site``, ``operation``, ``input``), then its neuron
        layers.

        All counts are means per image. Whole-network events and firing rates keep every image's own number as samples. What
        could not be counted is a record without a value; the sums then carry the condition ``complete=False``. What depends on
        the images has the condition ``split``.
        """
        for record in records_of(observe(subject, options), subject.model):
            depends = record.metric not in VALUE_FREE
            yield record.under({**record.conditions, "split": options.split}) if depends else record


def observe(subject: Subject, options: Harness.Options) -> ActivityAnalysis:
    """The counting pass itself."""
    import torch

    from spikebench.activity import ActivityObserver
    from spikebench.data import batches, resident, spread

    split = spread(subject.dataset.split(options.split), options.samples)
    model = subject.model
    with torch.no_grad(), ActivityObserver(model) as observer:
        for x, _ in batches(resident(split, subject.device), options.batch_size, subject.device):
            model(x)
    return observer.analysis


def records_of(found: ActivityAnalysis, model: Any) -> Iterator[Record]:
    """An analysis as records."""
    from spikebench.networks.network import ForeignNetwork, Network

    yield Record.of(PARAMETERS, sum(parameter.numel() for parameter in model.parameters()))
    yield Record.of(STEPS, found.time_steps)
    yield from _whole(found)
    for site in found.sites:
        yield from _site(site, found.samples)
    if isinstance(model, Network) and not isinstance(model, ForeignNetwork):
        yield from _steps(found)
    for layer in found.neuron_layers:
        yield from _layer(layer, found)
    for missing in found.not_counted:
        conditions = {"operation": missing.operation}
        yield Record.absent(EVENTS, f"not counted: {missing.reason}", scope=missing.scope, conditions=conditions)


def _whole(found: ActivityAnalysis) -> Iterator[Record]:
    complete: Mapping[str, Scalar] = {"complete": False} if found.not_counted else {}
    rows, layers, n = found.sites, found.neuron_layers, found.samples

    def whole(metric: Metric, total: int | float, samples: Sequence[int | float] | None = None) -> Record:
        return Record.of(metric, mean(total, n), conditions=complete, samples=samples)

    for metric in (DENSE_MACS, INSIDE, EVENTS, UNIT_ACS):
        total = sum(getattr(site, metric.name) or 0 for site in rows)
        yield whole(metric, total, found.by_sample(metric.name) if metric in (EVENTS, UNIT_ACS) else None)
    yield whole(OTHER_OPS, sum(found.other_ops().values()))
    yield whole(READ, sum(row.bytes_read for row in rows) + sum(layer.bytes_read for layer in layers))
    yield whole(WRITTEN, sum(row.bytes_written for row in rows) + sum(layer.bytes_written for layer in layers))
    if not layers:
        yield Record.absent(RATE, "there is no spiking neuron in this network")
        return
    updates = sum(layer.membrane_updates for layer in layers)
    neurons = sum(layer.neurons for layer in layers)
    yield whole(SPIKES, sum(layer.spikes for layer in layers))
    yield whole(MEMBRANE, updates)
    yield Record.of(NEURONS, neurons)
    yield Record.of(RATE, sum(layer.spikes for layer in layers) / updates, samples=_rates(found.spikes_by_sample(), updates, n))
    yield Record.of(DEAD, sum(layer.dead_fraction * layer.neurons for layer in layers) / neurons)
    yield Record.of(SATURATED, sum(layer.saturated_fraction * layer.neurons for layer in layers) / neurons)


def _site(site: Site, samples: int) -> Iterator[Record]:
    where: dict[str, Scalar] = {"site": site.site, "operation": site.operation}
    if not site.synaptic:
        yield Record.of(OTHER_OPS, mean(site.other_ops, samples), scope=site.scope, conditions=where)
        yield Record.of(INPUTS, mean(site.input_elements, samples), scope=site.scope, conditions=where)
        return
    where |= {"input": site.input, "known_by": site.known_by}
    metrics = (*_SITE_METRICS, *((LEFT, RIGHT) if site.is_product else ()))
    for metric in metrics:
        value = getattr(site, metric.name)
        if value is None:
            continue  # unit ACs of real input do not exist; its condition ``input`` says that it is real
        if metric in (NONZERO, MEAN, MAXIMUM):
            yield Record.of(metric, value, scope=site.scope, conditions=where)
        elif metric is WEIGHTS:
            yield Record.of(metric, mean(value, site.calls), scope=site.scope, conditions=where)
        else:
            yield Record.of(metric, mean(value, samples), scope=site.scope, conditions=where)


def _steps(found: ActivityAnalysis) -> Iterator[Record]:
    """Events by step, of networks of our own: their time lies before the samples, by their interface."""
    for site in found.sites:
        steps = found.events_by_step(site.site) if site.synaptic else None
        for t, events in enumerate(steps or ()):
            where: dict[str, Scalar] = {"site": site.site, "operation": site.operation, "t": t}
            yield Record.of(BY_STEP, mean(events, found.samples), scope=site.scope, conditions=where)


def _layer(layer: NeuronLayer, found: ActivityAnalysis) -> Iterator[Record]:
    of_scope = {"scope": layer.scope}
    rates = _rates(found.spikes_by_sample(layer.scope), layer.membrane_updates, found.samples)
    yield Record.of(RATE, layer.firing_rate, samples=rates, **of_scope)
    for t, rate in enumerate(layer.firing_rate_by_step):
        yield Record.of(RATE, rate, conditions={"t": t}, **of_scope)
    yield Record.of(DEAD, layer.dead_fraction, **of_scope)
    yield Record.of(SATURATED, layer.saturated_fraction, **of_scope)
    yield Record.of(SPIKES, mean(layer.spikes, found.samples), **of_scope)
    yield Record.of(MEMBRANE, mean(layer.membrane_updates, found.samples), **of_scope)
    yield Record.of(NEURONS, layer.neurons, **of_scope)


def _rates(spikes: Sequence[int] | None, updates: int, samples: int) -> list[float] | None:
    return None if spikes is None else [count * samples / updates for count in spikes]


def mean(total: int | float, samples: int) -> int | float:
    """Per image; a whole number stays one."""
    samples = max(1, samples)
    return total // samples if isinstance(total, int) and total % samples == 0 else total / samples
