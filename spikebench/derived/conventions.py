"""What counts as how many operations: named views of the same rows.

A convention says how many multiply-accumulates (MACs) and how many accumulates (ACs) each site does. The rows never change, so
two numbers that differ under two conventions differ by definition, not by measurement (references.md 5 and 7).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from spikebench.core.choice import build_options, plain
from spikebench.core.errors import InputError, Problem, nearest
from spikebench.derived.products import product_ops
from spikebench.derived.sites import Number, Site


class Ops(NamedTuple):
    """Operations of one site."""

    macs: Number = 0
    acs: Number = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """The choices in which papers and tools differ, one by one.

    ``spikes``: how many ACs a layer fed by spikes does: ``events`` (nonzero input x existing tap), ``rate`` (nonzero fraction
    of its input x dense MACs, the papers' formula), or ``dense``: as many MACs as an artificial network. ``integers``: a layer
    fed by counts of spikes does one AC for an ``event``, k ACs for a k (``unit``), ``rate`` x dense ACs, or MACs:
    ``mac_events`` where its input is nonzero, ``mac_dense`` everywhere. ``real``: a layer with real input does MACs where that
    is nonzero (``events``) or everywhere (``dense``).

    ``products``: products of two activations (attention, masks) count where ``both`` operands are nonzero, where the ``left``
    or the ``right`` one is, ``unit`` by unit, ``dense`` as MACs, or not at all (``none``). ``binary``: SpikingJelly's rule,
    one-sided where one operand is binary, MACs where none is. ``script``: the formula of the Spikingformer authors' script, T H
    N d^2 (min(rate of K, rate of V) + rate of Q), whatever order the product was computed in.

    ``first_convolution``: computed at every step, or ``once`` for an image that repeats. ``head``: the classifier as it runs
    (``as_run``), or charged at ``every_step`` although it sees a mean over time. ``batch_norm``: ``folded`` into weights, or MACs
    per element, ``one`` or ``two``. ``neurons`` and ``pooling``: one AC per element too. ``only``: count only sites whose module
    path contains one of these.
    """

    spikes: Literal["events", "rate", "dense"] = "events"
    integers: Literal["event", "unit", "rate", "mac_events", "mac_dense"] = "event"
    real: Literal["events", "dense"] = "events"
    products: Literal["both", "left", "right", "unit", "dense", "binary", "script", "none"] = "both"
    first_convolution: Literal["every_step", "once"] = "every_step"
    head: Literal["as_run", "every_step"] = "as_run"
    batch_norm: Literal["folded", "one", "two"] = "folded"
    neurons: bool = False
    pooling: bool = False
    only: tuple[str, ...] = ()


CONVENTIONS: Mapping[str, Rules] = {
    "events": Rules(),
    "unit": Rules(integers="unit", products="unit"),
    "dense": Rules(spikes="dense", integers="mac_dense", real="dense", products="dense"),
    "rate": Rules(spikes="rate", integers="rate", real="dense", products="left"),
    "neurobench": Rules(integers="mac_events", products="none"),
    "spikingjelly": Rules(integers="mac_dense", real="dense", products="binary", batch_norm="one"),
    "syops": Rules(
        spikes="rate",
        integers="mac_dense",
        real="dense",
        products="none",
        batch_norm="two",
        neurons=True,
        pooling=True,
    ),
    "spikingformer-script": Rules(spikes="rate", integers="rate", real="dense", products="script", only=("conv", "head")),
}
"""Each by its name; any of its rules can be changed by an option of the same name.

``events``: ours; what papers call SOPs. ``unit``: an integer k is k spikes. ``dense``: as if nothing were zero. ``rate``: the
papers' formula, fr x T x FLOPs. The others re-enact what a tool reports: NeuroBench 2.3 (effective ACs and MACs), SpikingJelly
2 (SynOp and MAC counters), syops-counter 0.0.5, and the energy script that the Spikingformer authors published.
"""

WHY: Mapping[str, str] = {
    "events": "nonzero input x existing tap; products where both operands are nonzero",
    "unit": "a count of k spikes is k accumulates, in layers and products",
    "dense": "nothing is skipped: what an artificial network of this shape computes",
    "rate": "firing rate x dense MACs: taps on padding and strides are counted as if they existed",
    "neurobench": "one integer in a layer's input makes it MACs; attention products are not seen; padding is left out",
    "spikingjelly": "one integer in a layer's input makes it dense MACs; attention is one-sided; BatchNorm's product is counted",
    "syops": "rate x dense; one integer makes a layer dense MACs; attention is not seen; BatchNorm, neurons, pooling are counted",
    "spikingformer-script": "only modules named conv or head; attention by formula; linear layers of other names are dropped",
}
"""A sentence on each: why its number is what it is."""


def rules_of(convention: str, **options: Any) -> Rules:
    """Raises InputError for an unknown convention, option or value, naming the nearest."""
    if convention not in CONVENTIONS:
        raise InputError(Problem(f"unknown convention {convention!r}{nearest(convention, CONVENTIONS)}"))
    rules: Rules = build_options(Rules, {**plain(CONVENTIONS[convention]), **options}, owner=f"convention {convention!r}")
    return rules


def operations(sites: Sequence[Site], rules: Rules, time_steps: int = 1) -> Iterator[tuple[Site, Ops]]:
    """Every row with the operations that it does; rows that do none under these rules too."""
    synaptic = [site for site in sites if site.synaptic]
    first = next((site for site in synaptic if site.operation.startswith("conv")), None)
    head = next((site for site in reversed(synaptic) if site.operation == "linear"), None)
    for site in sites:
        ops = _product(site, sites, rules) if site.is_product else _layer(site, rules) if site.synaptic else _other(site, rules)
        # The script's formula for attention has no module of its own, so no name decides about it.
        named = site.is_product and rules.products == "script"
        if rules.only and not named and not any(part in site.scope for part in rules.only):
            ops = Ops()
        if site is first and site.input == "real" and rules.first_convolution == "once":
            ops = Ops(_shared(ops.macs, time_steps), _shared(ops.acs, time_steps))
        if site is head and site.input == "real" and rules.head == "every_step":
            ops = Ops(ops.macs * time_steps, ops.acs * time_steps)
        yield site, ops


def total(sites: Iterable[Site], convention: str = "events", time_steps: int = 1, **options: Any) -> Number:
    """MACs and ACs of all sites together: "the number of operations" under this convention. Raises InputError."""
    rules = rules_of(convention, **options)
    return sum(ops.macs + ops.acs for _, ops in operations(list(sites), rules, time_steps))


def macs_and_acs(sites: Iterable[Site], convention: str = "events", time_steps: int = 1, **options: Any) -> Ops:
    """As ``total``, apart: tools report the two apart, and they cost differently."""
    found = [ops for _, ops in operations(list(sites), rules_of(convention, **options), time_steps)]
    return Ops(sum(ops.macs for ops in found), sum(ops.acs for ops in found))


def _layer(site: Site, rules: Rules) -> Ops:
    if site.input == "real":
        return Ops(macs=site.dense_macs if rules.real == "dense" else site.events)
    if site.input == "integer":
        if rules.integers in ("mac_events", "mac_dense"):
            return Ops(macs=site.events if rules.integers == "mac_events" else site.dense_macs)
        unit = site.events if site.unit_acs is None else site.unit_acs
        return Ops(acs={"event": site.events, "unit": unit, "rate": _rate(site)}[rules.integers])
    if rules.spikes == "dense":
        return Ops(macs=site.dense_macs)
    return Ops(acs=site.events if rules.spikes == "events" else _rate(site))


def _product(site: Site, sites: Sequence[Site], rules: Rules) -> Ops:
    macs, acs = product_ops(site, sites, rules.products)
    return Ops(macs, acs)


def _other(site: Site, rules: Rules) -> Ops:
    if site.operation == "batch_norm" and rules.batch_norm != "folded":
        return Ops(macs=site.other_ops if rules.batch_norm == "two" else _shared(site.other_ops, 2))
    if site.operation == "neuron" and rules.neurons:
        return Ops(acs=site.other_ops)
    if site.operation == "pooling" and rules.pooling:
        return Ops(acs=site.input_elements)
    return Ops()


def _rate(site: Site) -> float:
    """Rate of the input x dense MACs. For counts of spikes the fraction of nonzero values, not their mean, is a rate."""
    return (site.nonzero_fraction or 0.0) * site.dense_macs


def _shared(amount: Number, parts: int) -> Number:
    return amount // parts if isinstance(amount, int) and amount % parts == 0 else amount / parts
