"""What an image would cost and take on chips, whether the network fits, and the rates at which spikes pay: estimates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from spikebench.core.metrics import Metric
from spikebench.core.records import Record, Scalar
from spikebench.derived.chip import Chip, load_chip
from spikebench.derived.counted import IDS, Counted, counted
from spikebench.derived.on_chip import THRESHOLDS, TWINS, OnChip, break_even, dense_share, twin_costs
from spikebench.derived.workload import Load, loads

NOTE = "estimated from counts and a chip's figures, per image; conditions name the chip's file and its version"


def _metric(name: str, unit: str, title: str, direction: Any = "lower", **more: Any) -> Metric:
    return Metric(name, unit, direction, "estimated", title, exact=True, **{"note": NOTE, **more})


ENERGY = _metric("chip_energy", "J", "Energy on chip", display_unit="mJ", display_factor=1e3, combine="sum")
PART = _metric("chip_energy_part", "J", "Energy on chip by part", display_unit="mJ", display_factor=1e3)
TIME = _metric("chip_time", "s", "Time on chip", display_unit="ms", display_factor=1e3)
EDP = _metric("chip_edp", "J s", "Energy-delay product", display_unit="nJ s", display_factor=1e9)
CHIPS = _metric("chip_count", "1", "Chips", digits=0)
CORES = _metric("core_count", "1", "Cores", digits=0)
USED = _metric("chip_utilisation", "1", "Utilisation", "higher", display_unit="%", display_factor=100.0, digits=1)
NEEDED = _metric(
    "break_even_rate", "1", "Break-even rate", None, display_unit="%", display_factor=100.0, digits=2,
    note="events for each dense MAC at which the spiking layer costs as much as its twin on digital-array",
)  # fmt: skip
RATE = _metric(
    "synaptic_rate", "1", "Synaptic rate", display_unit="%", display_factor=100.0, digits=2,
    note="events for each dense MAC, as counted",
)  # fmt: skip
SHARE = _metric(
    "dense_share", "1", "Share for a dense core", None, display_unit="%", display_factor=100.0, digits=1,
    note="dense MACs in layers of at least that density",
)  # fmt: skip


class Derivation:
    """On each chip: joules of the network, by part and by layer, seconds, chips, break-even rates against both dense twins."""

    asks = "chips"
    metrics = (ENERGY, PART, TIME, EDP, CHIPS, CORES, USED, NEEDED, RATE, SHARE)

    def __call__(self, records: Iterable[Record], chips: Sequence[str] = ()) -> Iterator[Record]:
        """``chips``: names or TOML paths. Raises InputError for an unknown chip, or a file that is none."""
        loaded = [load_chip(name) for name in chips]
        jobs = list(counted(records)) if loaded else []
        for job in jobs:
            layers = loads(job)
            if layers:
                yield from _rates(job, layers)
            for chip in loaded:
                yield from _on_chip(job, layers, chip)


def _on_chip(job: Counted, layers: Sequence[Load], chip: Chip) -> Iterator[Record]:
    conditions: dict[str, Scalar] = {"chip": chip.name, "chip_version": chip.version}
    conditions |= {"split": job.split} if job.split else {}
    ids: dict[str, Any] = dict(zip(IDS, job.ids, strict=True))
    whole: dict[str, Scalar] = {**conditions, **({} if job.complete else {"complete": False})}
    found = OnChip(chip, layers)
    if not layers or found.why_not:
        why = found.why_not or f"there are no counts to make it from: {job.reason or 'no synaptic operation'}"
        for metric in (ENERGY, TIME, EDP, CHIPS, CORES, USED):
            if chip.core is not None or metric not in (CHIPS, CORES):
                yield Record.absent(metric, why, conditions=whole, **ids)
        return
    remark = f"beyond spikes, charged as events: {', '.join(found.beyond)}" if found.beyond else ""
    if found.why_no_energy:
        yield Record.absent(ENERGY, found.why_no_energy, conditions=whole, **ids)
    else:
        yield Record.of(ENERGY, found.joules, conditions=whole, reason=remark, **ids)
        for part, joules in found.parts.items():
            yield Record.of(PART, joules, conditions={**whole, "part": part}, **ids)
        for load, cost in zip(layers, found.costs, strict=True):
            yield Record.of(ENERGY, cost.joules, scope=load.site.scope, conditions={**conditions, **_where(load)}, **ids)
        yield from _break_even(found, conditions, whole, ids)
    if found.seconds is None:
        yield Record.absent(TIME, found.why_no_time, conditions=whole, **ids)
    else:
        even = {} if not all(load.even for load in layers) else {"steps": "even"}
        yield Record.of(TIME, found.seconds, conditions={**whole, **even}, **ids)
    if found.why_no_energy or found.seconds is None:
        yield Record.absent(EDP, found.why_no_energy or found.why_no_time, conditions=whole, **ids)
    else:
        yield Record.of(EDP, found.joules * found.seconds, conditions=whole, **ids)
    yield Record.of(USED, found.utilisation, conditions=whole, **ids)
    if found.placement is not None and chip.core is not None:
        yield Record.of(CHIPS, found.placement.chips(chip.core), conditions=whole, reason=found.fits, **ids)
        yield Record.of(CORES, found.placement.cores, conditions=whole, **ids)


def _break_even(
    found: OnChip, conditions: Mapping[str, Scalar], whole: Mapping[str, Scalar], ids: Mapping[str, Any]
) -> Iterator[Record]:
    """Of the network, and of every layer that has synapses and is fed by spikes."""
    for mode in TWINS:
        twin = twin_costs(found.loads, mode)
        everything = break_even(found.costs, twin, found.loads).needed
        yield _needed(everything, scope="", conditions={**whole, "twin": mode}, **ids)
        for load, mine, other in zip(found.loads, found.costs, twin, strict=True):
            if load.site.dense_macs and not load.needs_numbers:
                needed = break_even([mine], [other], [load]).needed
                yield _needed(needed, scope=load.site.scope, conditions={**conditions, "twin": mode, **_where(load)}, **ids)


def _needed(rate: float | None, **fields: Any) -> Record:
    if rate is None:
        return Record.absent(NEEDED, "without a single spike it costs more than its twin, so no rate is low enough", **fields)
    return Record.of(NEEDED, rate, **fields)


def _rates(job: Counted, layers: Sequence[Load]) -> Iterator[Record]:
    conditions: dict[str, Scalar] = {"split": job.split} if job.split else {}
    ids: dict[str, Any] = dict(zip(IDS, job.ids, strict=True))
    synaptic = [load for load in layers if load.site.dense_macs]
    dense = sum(load.site.dense_macs for load in synaptic)
    yield Record.of(RATE, sum(load.events for load in synaptic) / dense if dense else 0.0, conditions=conditions, **ids)
    for load in synaptic:
        yield Record.of(RATE, load.density, scope=load.site.scope, conditions={**conditions, **_where(load)}, **ids)
    for threshold in THRESHOLDS:
        yield Record.of(SHARE, dense_share(synaptic, threshold), conditions={**conditions, "density": threshold}, **ids)


def _where(load: Load) -> dict[str, Scalar]:
    site = load.site
    return {"site": site.site, "operation": site.operation, "input": site.input}
