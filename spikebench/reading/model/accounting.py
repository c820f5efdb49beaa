"""A cost taken apart: by stage, by kind of input, by layer, by convention; each a list whose sum is the whole."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from statistics import fmean

from spikebench.core.errors import InputError
from spikebench.core.records import Record, Selector
from spikebench.core.registry import REGISTRIES
from spikebench.derived.conventions import CONVENTIONS, operations, rules_of
from spikebench.derived.counted import counted
from spikebench.derived.profile import Profile, load_profile
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.layers import Layer
from spikebench.reading.model.questions import of_one_question
from spikebench.reading.model.stages import STAGES, stage_of
from spikebench.reading.model.summary import is_whole


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """A share of a cost, in stored units."""

    name: str
    value: float


@dataclasses.dataclass(frozen=True, slots=True)
class Operations:
    """Of one network under one convention, per image: means over seeds. ``energy`` is None where there is no profile."""

    convention: str
    macs: float
    acs: float
    energy: float | None = None


def by_stage(layers: Iterable[Layer]) -> list[Part]:
    """Stem, attention, MLP, head and what is none of them, in this order; stages without layers are left out."""
    return _parts(layers, lambda layer: stage_of(layer.scope), STAGES)


def by_kind(layers: Iterable[Layer]) -> list[Part]:
    """What the operations are fed with: spikes, counts of spikes, real numbers, or two activations; the largest first."""
    return _parts(layers, kind_of)


def kind_of(layer: Layer) -> str:
    """``linear fed by integers``, ``matmul of binary x binary``."""
    if layer.operation == "neuron":
        return "neurons behind a sum of streams"
    if " x " in layer.input:
        return f"{layer.operation} of {layer.input}"
    fed = {"binary": "spikes", "integer": "counts of spikes", "real": "real numbers"}.get(
        layer.input, layer.input or "unknown input"
    )
    return f"{layer.operation} fed by {fed}"


def by_convention(frame: Frame, group_id: str, profile: str | None = None) -> list[Operations]:
    """The same counts under every convention: mean operations over the group's seeds, and their energy under one profile.

    The profile's own rules (such as a dense first convolution) belong to its own convention alone. Empty without counts.
    """
    own = None if profile is None else load_profile(profile)
    return [found for name in CONVENTIONS if (found := operations_of(frame, group_id, name, own)) is not None]


def operations_of(frame: Frame, group_id: str, convention: str, profile: Profile | None = None) -> Operations | None:
    """A group's operations under one convention, with the profile's rules where it is the profile's own.

    None unless every site has its counts. Of several passes (another split, other samples) one is taken: see ``of_one_question``.
    """
    own = frame.by_group.get(group_id, ())
    totals = [r for r in own if r.metric == "events" and is_whole(r) and "operation" not in r.conditions]
    passes = {record.job_id for record in of_one_question(totals, apart=("complete",))}
    records = [r for r in own if r.kind == "counted" and (not passes or r.job_id in passes)]
    if any(record.value is None and "site" in record.conditions for record in records):
        return None
    jobs = list(counted(records))
    if not jobs or not all(job.sites for job in jobs):
        return None
    rules = rules_of(convention, **(profile.rules if profile is not None and profile.convention == convention else {}))
    ops = [[ops for _, ops in operations(job.sites, rules, job.time_steps)] for job in jobs]
    macs, acs = (fmean(sum(getattr(op, field) for op in job) for job in ops) for field in ("macs", "acs"))
    return Operations(convention, macs, acs, None if profile is None else _energy(records, profile, convention))


def profile_of(selector: Selector) -> Profile | None:
    """The profile that a selector names; None if it names none, or one that cannot be read here."""
    try:
        return load_profile(selector.conditions["profile"]) if "profile" in selector.conditions else None
    except InputError:
        return None


def _energy(records: Sequence[Record], profile: Profile, convention: str) -> float | None:
    derivation = REGISTRIES["derivations"].get("energy")()
    found = [
        r.value
        for r in derivation(records, profiles=[profile.name], convention=convention)
        if is_whole(r) and r.value is not None
    ]
    return fmean(found) if found else None


def _parts(layers: Iterable[Layer], name: Callable[[Layer], str], order: Sequence[str] = ()) -> list[Part]:
    sums: dict[str, float] = {}
    for layer in layers:
        sums[name(layer)] = sums.get(name(layer), 0.0) + layer.value
    names = [known for known in order if known in sums] if order else sorted(sums, key=lambda key: -sums[key])
    return [Part(key, sums[key]) for key in names]
