"""The published figures that the chip files rest on, pinned; and what follows from them, checked against what was printed."""

from __future__ import annotations

import pytest
import torch

import spikebench
from spikebench.core.registry import REGISTRIES
from spikebench.derived import array_cost
from spikebench.derived.chip import load_chip
from spikebench.derived.counted import counted
from spikebench.derived.workload import loads
from spikebench.harnesses.activity import records_of

PICO, NANO = 1e-12, 1e-9


def test_loihi_is_as_its_simulator_states_it() -> None:
    """references.md 4.7: SANA-FE 2.2.9, loihi.yaml."""
    chip = load_chip("loihi")
    assert chip.core is not None
    assert chip.core_energy is not None
    assert chip.time is not None
    energy, time = chip.core_energy, chip.time
    synapse = (energy.synapse.dense, energy.synapse.sparse, energy.synapse.convolution)
    assert synapse == pytest.approx((35.5 * PICO, 33.6 * PICO, 24.0 * PICO))
    neuron = (energy.access, energy.update, energy.spike, energy.message)
    assert neuron == pytest.approx((51.2 * PICO, 21.6 * PICO, 69.3 * PICO, 111 * PICO))
    assert energy.access + energy.update == pytest.approx(72.8 * PICO)  # an active neuron, in earlier versions of the file
    assert (energy.hop.x, energy.hop.y) == pytest.approx((3.0 * PICO, 4.2 * PICO))
    assert (time.synapse.dense, time.synapse.convolution) == pytest.approx((3.8 * NANO, 3.1 * NANO))
    assert (time.access, time.update, time.spike) == pytest.approx((6.0 * NANO, 3.7 * NANO, 30 * NANO))
    assert [time.barrier_of(tiles) for tiles in (1, 2, 4, 29, 32)] == pytest.approx([6e-7, 1e-6, 1.4e-6, 1.8e-6, 1.8e-6])
    assert (chip.core.per_chip, chip.core.neurons, chip.core.fan_in) == (128, 1024, 4096)
    # 130 million binary synapses on a chip, as its makers say.
    assert chip.core.memory * 8 * chip.core.per_chip == pytest.approx(130e6, rel=0.04)


def test_loihi_2_is_faster_by_what_its_makers_state_and_its_energy_is_unknown() -> None:
    """references.md 4.7: updates 2, synaptic operations 5, spikes 10 times; a step under 200 ns; no energy of an event."""
    old, new = load_chip("loihi"), load_chip("loihi-2")
    assert old.time is not None
    assert new.time is not None
    assert new.core_energy is None
    assert old.time.synapse.dense / new.time.synapse.dense == pytest.approx(5)
    assert old.time.update / new.time.update == pytest.approx(2)
    assert old.time.spike / new.time.spike == pytest.approx(10)
    assert new.time.barrier_of(32) == pytest.approx(200 * NANO)


def test_system_figures_of_spinnaker_2_and_the_crossbar_of_truenorth() -> None:
    """references.md 4.7."""
    spinnaker, truenorth = load_chip("spinnaker2"), load_chip("truenorth")
    assert spinnaker.core_energy is not None
    assert truenorth.core_energy is not None
    assert truenorth.core is not None
    assert (spinnaker.core_energy.synapse.dense, spinnaker.core_energy.update) == pytest.approx((450 * PICO, 2190 * PICO))
    assert truenorth.core_energy.synapse.dense == pytest.approx(26 * PICO)
    assert truenorth.core.per_chip * truenorth.core.neurons == 1 << 20  # a million neurons
    assert truenorth.core.memory * 8 * truenorth.core.per_chip == 256 << 20  # 256 million synapses
    assert spinnaker.step == truenorth.step == pytest.approx(1e-3)


def test_an_accelerator_reaches_its_printed_throughput_and_efficiency() -> None:
    """arXiv 2503.19643: 3.456 TSOPS at 500 MHz, 38.334 TSOPS/W."""
    chip = load_chip("parallel-tick")
    assert chip.array is not None
    assert chip.array_energy is not None
    assert chip.array.throughput == pytest.approx(3.456e12)
    assert 1 / chip.array_energy.ac == pytest.approx(38.334e12, rel=1e-4)


def test_vesta_shows_as_many_images_as_printed() -> None:
    """arXiv 2503.20246: 30 images a second, Spikformer at 224 x 224. 512 elements with four steps at once give 30.55 of 8-512."""
    model = spikebench.build("spikformer-8-512", spikebench.InputSpec(3, 224, 1000), T=1).eval()
    found = records_of(spikebench.count(model, torch.zeros(1, 3, 224, 224)), model)
    (job,) = counted(list(found))
    # All four steps go through at once, so one step takes as long.
    rate = 1 / array_cost.seconds_of(loads(job), load_chip("vesta"))
    assert 30 <= rate < 31


@pytest.mark.parametrize("name", REGISTRIES["chips"].names())
def test_chip(name: str) -> None:
    """What every chip must tell."""
    chip = load_chip(name)
    assert 20 < len(REGISTRIES["chips"].describe(name)) <= 130
    assert chip.name == name
    assert chip.source
    assert chip.technology
    assert chip.leaves_out
    assert (chip.core is None) != (chip.array is None)
    if chip.core_energy is None and chip.array_energy is None:
        assert any("energy" in said for said in chip.leaves_out), "what is not public is said"
    # Between a femtojoule and a nanojoule: a chip in other units would be wrong by 1,000.
    if chip.core_energy is not None:
        assert 1e-15 < chip.core_energy.synapse.dense < 1e-9
    if chip.array_energy is not None:
        assert 1e-15 < chip.array_energy.ac <= chip.array_energy.mac < 1e-11
