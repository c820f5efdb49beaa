"""What counts as how many operations: named views of the same rows.

A convention says how many multiply-accumulates (MACs) and how many accumulates (ACs) each site does. The rows never change, so
two numbers that differ under two conventions differ by definition, not by measurement (REFERENCES 5 and 7).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from spikebench.core.choice import build_options
from spikebench.core.errors import InputError, Problem, nearest
from spikebench.derived.sites import NeuronLayer, Site

Number = int | float


class Ops(NamedTuple):
    """Operations of one site."""

    macs: Number = 0
    acs: Number = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Rules:
    """The choices in which papers and tools differ, one by one.

    ``spikes``: how many ACs a layer fed by spikes does: ``events`` (nonzero input x existing tap), ``rate`` (firing rate of its
    input x dense MACs, the papers' formula) or ``dense``. ``integers``: a layer fed by counts of spikes does one AC an
    ``event``, k ACs for a k (``unit``), ``rate`` x dense ACs, or MACs (``mac_events`` where the input is nonzero, ``mac_dense``
    everywhere). ``real``: a layer with real input does MACs where it is nonzero (``events``) or everywhere (``dense``).

    ``products``: products of two activations (attention) count where ``both`` operands are nonzero, where the ``left``, the
    ``right`` or whichever one is ``binary`` is, densely (``dense``), or not at all (``none``).

    ``first_convolution``: computed at every step, or ``once`` for an image that repeats. ``head``: the classifier as it runs
    (``as_run``), or charged at ``every_step`` although it sees a mean over time. ``batch_norm``: ``folded`` into weights, or
    MACs per element, ``one`` or ``two``. ``neurons``, ``pooling``: one AC per element too. ``only``: parts of layer names;
    empty counts all.
    """

    spikes: Literal["events", "rate", "dense"] = "events"
    integers: Literal["event", "unit", "rate", "mac_events", "mac_dense"] = "event"
    real: Literal["events", "dense"] = "events"
    products: Literal["both", "left", "right", "binary", "dense", "unit", "none"] = "both"
    first_convolution: Literal["every_step", "once"] = "every_step"
    head: Literal["as_run", "every_step"] = "as_run"
    batch_norm: Literal["folded", "one", "two"] = "folded"
    neurons: bool = False
    pooling: bool = False
    bias: bool = False
    only: tuple[str, ...] = ()


CONVENTIONS: Mapping[str, Rules] = {
    "events": Rules(),
    "unit": Rules(integers="unit", products="unit"),
    "dense": Rules(spikes="dense", integers="mac_dense", real="dense", products="dense"),
    "rate": Rules(spikes="rate", integers="rate", real="dense", products="left"),
}
"""Each by its name; every rule can be changed by an option of the same name."""


def rules_of(convention: str, **options: Any) -> Rules:
    """Raises InputError for an unknown convention, option or value, naming the nearest."""
    if convention not in CONVENTIONS:
        raise InputError(Problem(f"unknown convention {convention!r}{nearest(convention, CONVENTIONS)}"))
    given = {field.name: getattr(CONVENTIONS[convention], field.name) for field in dataclasses.fields(Rules)}
    rules: Rules = build_options(Rules, {**given, **options}, owner=f"convention {convention!r}")
    return rules


def operations(sites: Sequence[Site], rules: Rules, time_steps: int = 1) -> Iterator[tuple[Site, Ops]]:
    """Every row with the operations that it does; rows that do none under these rules too."""
    synaptic = [site for site in sites if site.synaptic]
    first = next((site for site in synaptic if site.operation.startswith("conv")), None)
    head = next((site for site in reversed(synaptic) if site.operation == "linear"), None)
    for site in sites:
        ops = _synaptic(site, rules) if site.synaptic else _other(site, rules)
        if rules.only and not any(part in site.scope for part in rules.only):
            ops = Ops()
        if site is first and site.input == "real" and rules.first_convolution == "once":
            ops = Ops(_shared(ops.macs, time_steps), _shared(ops.acs, time_steps))
        if site is head and site.input == "real" and rules.head == "every_step":
            ops = Ops(ops.macs * time_steps, ops.acs * time_steps)
        yield site, ops


def total(sites: Iterable[Site], convention: str = "events", time_steps: int = 1, **options: Any) -> Number:
    """MACs and ACs of all sites together: "the number of operations" under this convention."""
    rules = rules_of(convention, **options)
    return sum(ops.macs + ops.acs for _, ops in operations(list(sites), rules, time_steps))


def _synaptic(site: Site, rules: Rules) -> Ops:
    bias = site.other_ops if rules.bias else 0
    if site.is_product:
        return _product(site, rules)
    if site.input == "real":
        return Ops(macs=(site.dense_macs if rules.real == "dense" else site.events) + bias)
    if site.input == "integer":
        if rules.integers in ("mac_events", "mac_dense"):
            return Ops(macs=(site.events if rules.integers == "mac_events" else site.dense_macs) + bias)
        unit = site.events if site.unit_acs is None else site.unit_acs
        return Ops(acs={"event": site.events, "unit": unit, "rate": _rate(site)}[rules.integers] + bias)
    if rules.spikes == "dense":
        return Ops(macs=site.dense_macs + bias)
    return Ops(acs=(site.events if rules.spikes == "events" else _rate(site)) + bias)


def _product(site: Site, rules: Rules) -> Ops:
    if rules.products == "none":
        return Ops()
    if rules.products == "dense":
        return Ops(macs=site.dense_macs)
    if rules.products == "unit":
        amount: Number = site.events if site.unit_acs is None else site.unit_acs
    elif rules.products == "binary":
        return _one_sided(site)
    else:
        amount = {"both": site.events, "left": site.events_left, "right": site.events_right}[rules.products]
    return Ops(acs=amount) if site.accumulates else Ops(macs=amount)


def _one_sided(site: Site) -> Ops:
    left, right = (kind == "binary" for kind in site.kinds)
    if left and right:
        return Ops(acs=site.events)
    if left or right:
        return Ops(acs=site.events_left if left else site.events_right)
    return Ops(macs=site.dense_macs)


def _other(site: Site, rules: Rules) -> Ops:
    if site.operation == "batch_norm" and rules.batch_norm != "folded":
        return Ops(macs=site.other_ops if rules.batch_norm == "two" else site.other_ops / 2)
    if site.operation == "pooling" and rules.pooling:
        return Ops(acs=site.input_elements)
    return Ops()


def _rate(site: Site) -> float:
    """Firing rate of the input x dense MACs. For integers the fraction of nonzero values, not their mean, is a rate."""
    return (site.nonzero_fraction or 0.0) * site.dense_macs


def _shared(amount: Number, steps: int) -> Number:
    return amount // steps if isinstance(amount, int) and amount % steps == 0 else amount / steps


def membrane(layers: Iterable[NeuronLayer], rules: Rules) -> Number:
    """ACs that the neurons themselves are charged with."""
    return sum(layer.membrane_updates for layer in layers) if rules.neurons else 0
