"""What a profile charges for one row: its operations, and, where it models them, addressing, memory and membranes."""

from __future__ import annotations

import math
from collections.abc import Iterator

from spikebench.derived.conventions import Ops, Rules, operations
from spikebench.derived.counted import Counted
from spikebench.derived.profile import Memory, Profile
from spikebench.derived.sites import Site

TERMS = ("operations", "addressing", "memory", "membrane")


def charged(job: Counted, profile: Profile, rules: Rules) -> Iterator[tuple[Site, dict[str, float]]]:
    """Every row that costs anything, with joules by term; synaptic rows always, so that a layer that costs nothing is seen to."""
    for site, ops in operations(job.sites, rules, job.time_steps):
        ops = _twin(site, job) if profile.twin else ops
        terms = {"operations": profile.mac * ops.macs + profile.ac * ops.acs}
        if profile.membrane is not None and site.operation == "neuron":
            terms["membrane"] = profile.membrane.access * profile.membrane.accesses * site.other_ops
        if profile.memory is not None:
            _add(terms, _with_memory(site, ops, job, profile, profile.memory))
        if site.synaptic or any(terms.values()):
            yield site, terms


def twin_bits(time_steps: int) -> int:
    """Bits of an activation that tells as much as T steps of spikes: ceil(log2(T + 1)) (Yan, Bai and Wong, arXiv 2409.08290)."""
    return math.ceil(math.log2(time_steps + 1))


def _twin(site: Site, job: Counted) -> Ops:
    """The same layer in an artificial network, run once. A layer behind the mean over time already runs once."""
    once = site.operation == "linear" and site.input == "real" and site is _last_linear(job)
    return Ops(macs=site.dense_macs if once else site.dense_macs / job.time_steps)


def _last_linear(job: Counted) -> Site | None:
    return next((site for site in reversed(job.sites) if site.operation == "linear"), None)


def _with_memory(site: Site, ops: Ops, job: Counted, profile: Profile, memory: Memory) -> dict[str, float]:
    """Lemaire et al. (ICONIP 2022) as SpikingJelly 2 implements it, with exact events; word for word in the profile's file.

    Fed by spikes a layer is driven by events: each is looked up, reads its weight, reads and writes its membrane. Fed by real
    numbers it is driven by its loops. A neuron adds its leak and its reset.
    """
    if memory.rule == "authors":
        return _authors(site, job, profile, memory)
    if site.operation == "neuron":
        return _neuron(site, job, profile, memory)
    if not site.synaptic:
        return {}
    word = memory.word_bytes
    add, mac = memory.address_add, memory.address_mac
    active = (site.nonzero_fraction or 0.0) * site.input_elements
    queue, weights = memory.joules(memory.queue_bytes), memory.joules(site.weight_elements * word)
    inputs = memory.joules(site.input_elements / job.time_steps * word)
    bias = site.other_ops
    if site.is_product:
        # Not in the model, which knows layers alone: both operands are read once, nothing has weights.
        return {"memory": site.input_elements * inputs, "addressing": site.events * add}
    if site.input == "real":
        reads = site.dense_macs if site.operation.startswith("conv") else site.input_elements
        return {
            "operations": bias * profile.ac,
            "addressing": (site.input_elements + site.output_elements) * add,
            "memory": reads * inputs + (site.dense_macs + bias) * weights,
        }
    potential = memory.joules(site.output_elements / job.time_steps * word)
    located = 2 * active if site.operation.startswith("conv") else 0.0
    return {
        "operations": bias * profile.ac,
        "addressing": site.events * add + located * mac,
        "memory": active * queue + (site.events + bias) * weights,
        "membrane": 2 * site.events * potential,
    }


def _authors(site: Site, job: Counted, profile: Profile, memory: Memory) -> dict[str, float]:
    """As the authors' own code has it (references.md 4.2), with exact events: theirs multiplies spikes by a nominal fan-out.

    Beside what an event costs, every output's potential is read, written, leaked and added to at every step; spikes are read and
    written once. A layer fed by real numbers reads input and weight for each MAC; a product, which is not in the model, reads
    both operands once.
    """
    word, add, mac = memory.word_bytes, memory.address_add, memory.address_mac
    queue = memory.joules(memory.queue_bytes)
    if site.operation == "neuron":
        potential = memory.joules(site.other_ops / job.time_steps * word)
        spikes = job.spikes.get(site.scope, 0.0)
        return {
            "operations": site.other_ops * (profile.mac + profile.ac) + spikes * profile.ac,
            "memory": spikes * queue,
            "membrane": 2 * site.other_ops * potential,
        }
    if not site.synaptic:
        return {}
    inputs = memory.joules(site.input_elements / job.time_steps * word)
    if site.is_product:
        return {"memory": site.input_elements * inputs, "addressing": site.events * add}
    weights = memory.joules(site.weight_elements * word)
    convolution = site.operation.startswith("conv")
    if site.input == "real":
        reads = site.dense_macs if convolution else site.input_elements
        return {
            "operations": site.other_ops * profile.ac,
            "addressing": (site.input_elements + site.output_elements) * add,
            "memory": reads * inputs + (site.dense_macs + site.other_ops) * weights,
        }
    active = (site.nonzero_fraction or 0.0) * site.input_elements
    fan_in = (site.dense_macs / site.output_elements if site.output_elements else 0) + (1 if site.other_ops else 0)
    channels = max(1.0, site.weight_elements / fan_in if fan_in else 0.0)
    located = 2 * active * mac + site.events / channels * add if convolution else site.events * add
    potential = memory.joules(site.output_elements / job.time_steps * word)
    return {
        "addressing": located,
        "memory": active * queue + site.events * weights + site.other_ops * memory.joules(channels * word),
        "membrane": 2 * site.events * potential,
    }


def _neuron(site: Site, job: Counted, profile: Profile, memory: Memory) -> dict[str, float]:
    updates, spikes = site.other_ops, job.spikes.get(site.scope, 0.0)
    potential = memory.joules(updates / job.time_steps * memory.word_bytes)
    return {
        "operations": updates * profile.mac + spikes * profile.ac,
        "memory": spikes * memory.joules(memory.queue_bytes),
        "membrane": 2 * updates * potential,
    }


def _add(terms: dict[str, float], more: dict[str, float]) -> None:
    for name, joules in more.items():
        terms[name] = terms.get(name, 0.0) + joules
