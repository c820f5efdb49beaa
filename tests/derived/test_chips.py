"""Chips by hand: a network of three layers on a chip of two cores, every joule and second worked out in the comments."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from spikebench.core.errors import InputError
from spikebench.core.records import Record, Selector
from spikebench.derived.chip import Core, load_chip
from spikebench.derived.counted import counted
from spikebench.derived.derivations.chips import Derivation
from spikebench.derived.mapping import DoesNotFitError, place
from spikebench.derived.workload import Load, loads

CHIP = """
version = 3
source = "by hand"
basis = "stated"
technology = "paper"
leaves_out = ["everything else"]
[core]
per_chip = 2
per_tile = 1
mesh = [2, 1]
neurons = 8
fan_in = 64
memory = "1 KiB"
weight_bits = 8
[energy]
synapse = {dense = "10 pJ", sparse = "9 pJ", convolution = "7 pJ"}
access = "2 pJ"
update = "3 pJ"
spike = "5 pJ"
message = "11 pJ"
hop = {x = "1 pJ", y = "100 pJ"}
static = "1 uW"
[time]
synapse = {dense = "4 ns", sparse = "9 ns", convolution = "2 ns"}
access = "1 ns"
update = "2 ns"
spike = "6 ns"
message_out = "5 ns"
message_in = "3 ns"
hop = {x = "0.5 ns", y = "9 ns"}
barrier = [[1, "100 ns"], [2, "200 ns"]]
"""


def network(job: str = "a") -> list[Record]:
    """T = 2. A 3x3 convolution on 2 x 2 pixels of spikes; a linear layer of its 4 neurons to 3; one of counts of spikes to 2."""
    found: list[Record] = []

    def put(metric: str, value: float, scope: str = "", **conditions: str | int | bool) -> None:
        found.append(Record(metric, value, "1", "counted", scope, conditions, job_id=job, cell_id="c", machine_id="m"))

    def site(place: int, scope: str, operation: str, kind: str, by_step: Sequence[float], **values: float) -> None:
        for metric, value in values.items():
            put(metric, value, scope, site=place, operation=operation, input=kind)
        for t, value in enumerate(by_step):
            put("events_by_step", value, scope, site=place, operation=operation, t=t)

    def neurons(scope: str, updates: int, spikes: float, *rates: float) -> None:
        put("membrane_updates", updates, scope)
        put("spikes", spikes, scope)
        for t, rate in enumerate(rates):
            put("firing_rate", rate, scope, t=t)

    put("time_steps", 2)
    put("events", 44)
    # 6 of 8 input values are spikes; each meets 4 taps inside the image: 24 events of 72 dense MACs, of them 8 at the first step.
    site(0, "a.conv", "conv2d", "binary", (8, 16), dense_macs=72, dense_macs_inside=32, events=24, unit_acs=24,
         nonzero_fraction=0.75, mean_value=0.75, input_elements=8, output_elements=8, weight_elements=9)  # fmt: skip
    # 4 spikes of those neurons, each to 3 neurons.
    site(1, "b.linear", "linear", "binary", (6, 6), dense_macs=24, events=12, unit_acs=12,
         nonzero_fraction=0.5, mean_value=0.5, input_elements=8, output_elements=6, weight_elements=12)  # fmt: skip
    # 4 of 6 values are not 0, one of them is 3: 4 events a neuron, but 6 unit spikes.
    site(2, "c.linear", "linear", "integer", (4, 4), dense_macs=12, events=8, unit_acs=12,
         nonzero_fraction=4 / 6, mean_value=1.0, input_elements=6, output_elements=4, weight_elements=6)  # fmt: skip
    neurons("a.neuron", 8, 4, 0.25, 0.75)
    neurons("b.neuron", 6, 3, 1 / 3, 2 / 3)
    neurons("c.neuron", 4, 1, 0.0, 0.5)
    return found


@pytest.fixture
def chip(tmp_path: Path) -> str:
    path = tmp_path / "by-hand.toml"
    path.write_text(CHIP)
    return str(path)


def one(found: Sequence[Record], selector: str) -> float:
    value = Selector.parse(selector).one(found).value
    assert value is not None
    return value


PICO, NANO = 1e-12, 1e-9


def test_energy_of_every_part_and_layer_by_hand(chip: str) -> None:
    found = list(Derivation()(network(), chips=[chip]))
    # Core 0 has room for 8 neurons: the 4 of a and the 3 of b; the 2 of c are in core 1, one tile further.
    # Synapses: 24 convolution events x 7, 12 x 10 of b, and 12 unit events x 10 of c, whose spikes carry no number.
    assert one(found, "chip_energy_part{part=synapses}") == pytest.approx((24 * 7 + 12 * 10 + 12 * 10) * PICO)
    # Neurons: 9 of them at 2 steps, accessed and updated (2 + 3), and 8 spikes x 5.
    assert one(found, "chip_energy_part{part=neurons}") == pytest.approx((9 * 2 * 5 + 8 * 5) * PICO)
    # Messages, one a spike and core: 6 to a, 4 to b, 6 unit spikes to c, which go one hop.
    assert one(found, "chip_energy_part{part=routing}") == pytest.approx((6 * 11 + 4 * 11 + 6 * (11 + 1)) * PICO)
    seconds = one(found, "chip_time")
    assert one(found, "chip_energy_part{part=static}") == pytest.approx(1e-6 * seconds)
    assert one(found, "chip_energy_part{part=beyond}") == 0
    whole = one(found, "chip_energy")
    assert whole == pytest.approx((408 + 130 + 182) * PICO + 1e-6 * seconds)
    # b: 12 events, 3 neurons at 2 steps, 3 spikes, 4 messages, and a quarter of the static power: half of one of two cores.
    b = one(found, "chip_energy@b.linear")
    assert b == pytest.approx((120 + 30 + 15 + 44) * PICO + 1e-6 * seconds / 4)
    assert whole == pytest.approx(sum(r.value or 0 for r in found if r.metric == "chip_energy" and r.scope))
    assert one(found, "chip_edp") == pytest.approx(whole * seconds)


def test_time_of_both_steps_by_hand(chip: str) -> None:
    found = list(Derivation()(network(), chips=[chip]))
    # Step 0. Messages: a gets 6 x 8/24 = 2 with 4 events each, b gets 4 x 6/12 = 2 of 3 events, c 6 x 4/8 = 3 of 2 events: 7.
    # Spikes: a 1, b 1, c 0: each sends half of the 7 messages.
    # Core 0 makes 7 x (1 + 2) + 2 x 6 + 7 x 5 = 68 ns; core 1 2 x 3 = 6.
    # Core 0 receives 2 x (3 + 4 x 2) + 2 x (3 + 3 x 4) = 52; core 1 3 x (3 + 2 x 4) = 33.
    # The last message may be one to b, 3 + 3 x 4 = 15; the first takes 3 + 6 + 5 = 14; the way to c half a nanosecond.
    # max(68 + 15, 52 + 14) + 0.5 + 200 = 283.5.
    # Step 1. Messages: 4, 2, 3. Spikes: a 3, b 2, c 1, so 4.5, 3 and 1.5 messages.
    # Core 0 makes 21 + 5 x 6 + 7.5 x 5 = 88.5; it receives 4 x 11 + 2 x 15 = 74. max(88.5 + 15, 74 + 14) + 0.5 + 200 = 304.
    assert one(found, "chip_time") == pytest.approx((283.5 + 304) * NANO)
    assert "steps" not in Selector("chip_time").one(found).conditions


def test_chips_cores_and_what_runs_out(chip: str) -> None:
    found = list(Derivation()(network(), chips=[chip]))
    assert one(found, "core_count") == 2
    assert one(found, "chip_count") == 1
    assert Selector("chip_count").one(found).reason == "1 chip of 2 cores"
    assert one(found, "chip_utilisation") == pytest.approx(9 / 16)
    for record in found:
        assert record.kind == "estimated"
        if record.metric.startswith(("chip", "core", "break")):
            assert (record.conditions["chip"], record.conditions["chip_version"]) == ("by-hand", 3)


def test_break_even_by_hand(chip: str) -> None:
    """b: active 120 + 44 + 15 pJ at a rate of 12/24, standing 30 pJ; its twin on the digital array by its own formula."""
    found = list(Derivation()(network(), chips=[chip]))
    twin = load_chip("digital-array")
    assert twin.array_energy is not None
    # Quantised: 2 bits for 2 steps. 12 MACs of 2/8; 12 weights of 8 bits, 4 inputs and 3 outputs of 2 bits; one pass, no DRAM.
    joules = 12 * twin.array_energy.mac / 4 + (12 * 8 + 4 * 2 + 3 * 2) * twin.array_energy.sram
    static = 1e-6 * one(found, "chip_time") / 4
    needed = 0.5 * (joules - 30 * PICO - static) / (179 * PICO)
    assert needed == pytest.approx(0.0508, rel=0.01)
    assert one(found, "break_even_rate{twin=quantised}@b.linear") == pytest.approx(needed)
    assert one(found, "synaptic_rate@b.linear") == 0.5
    assert one(found, "synaptic_rate") == pytest.approx(44 / 108)
    # Densities: a 1/3, b 1/2, c 2/3.
    assert one(found, "dense_share{density=0.5}") == pytest.approx(36 / 108)
    assert one(found, "dense_share{density=0.3}") == 1.0


def test_where_even_silence_costs_more_there_is_no_rate_but_a_reason(chip: str) -> None:
    Path(chip).write_text(CHIP.replace('update = "3 pJ"', 'update = "300 pJ"'))
    load_chip.cache_clear()
    found = [r for r in Derivation()(network(), chips=[chip]) if r.metric == "break_even_rate"]
    assert len(found) == 2 * (3 + 1)
    assert all(r.value is None and "without a single spike" in r.reason for r in found)


def layers() -> list[Load]:
    (job,) = counted(network())
    return loads(job)


def test_shapes_are_read_back_from_counts() -> None:
    a, b, c = layers()
    assert (a.neurons, a.channels, a.positions, a.fan_in, a.overlap) == (4, 1, 4, 9, 3)
    assert (b.neurons, b.channels, b.positions, b.fan_in, b.overlap) == (3, 3, 1, 4, 1)
    assert (c.inputs, c.unit_inputs, c.fires, c.spikes_by_step) == (4, 6, True, (0, 1))


def big(**changes: float) -> Load:
    """A layer of 64 channels at 8 x 8 positions, 3x3 from 32 channels."""
    site = dataclasses.replace(layers()[0].site, operation="conv2d", scope="big")
    given = {"neurons": 4096, "channels": 64, "positions": 64, "fan_in": 288, "overlap": 3.0, "weights": 64 * 288, **changes}
    return dataclasses.replace(layers()[0], site=site, **given)  # type: ignore[arg-type]


CORE = Core(per_chip=4, neurons=1024, memory=1e6, weight_bits=8, fan_in=10**6, shares_weights=True)


def replaced(**changes: object) -> Core:
    return dataclasses.replace(CORE, **changes)  # type: ignore[arg-type]


def test_what_runs_out_decides_how_a_layer_is_cut() -> None:
    # 1,024 neurons: 64 channels at 16 positions in each of 4 cores.
    found = place([big()], CORE)
    assert (found.cores, found.limit(), found.groups, found.runs) == (4, "neurons", (1,), (16,))
    # 10 channels' weights fit: 7 groups of channels, and all 64 positions of each in one core.
    found = place([big()], replaced(memory=10 * 288, neurons=640))
    assert (found.cores, found.limit(), found.groups, found.runs) == (7, "synapse memory", (7,), (64,))
    # Inputs: 288 of one position, 96 more with each next one; 600 let 4 positions in.
    found = place([big()], replaced(fan_in=600))
    assert (found.cores, found.limit(), found.runs) == (16, "fan-in", (4,))
    # Weights of one's own: 8 positions' worth of 64 channels x 288.
    found = place([big()], replaced(memory=8 * 64 * 288, shares_weights=False))
    assert (found.cores, found.limit(), found.runs) == (8, "synapse memory", (8,))
    assert sum(tile.share for tile in found.tiles) == pytest.approx(1)


def test_a_spike_of_a_convolution_reaches_the_cores_of_three_rows() -> None:
    def reached(positions: int) -> float:
        return place([big()], replaced(neurons=64 * positions)).reached(0, big())

    assert reached(64) == 1
    assert reached(1) == 9
    # Rows of 8 in a core each: 3 rows, of which a run of 3 crosses an edge twice in 8: at most 3 x 10/8, at once 1 + 18/8.
    assert reached(8) == pytest.approx(3.25)
    # Brute force of the interior: how many different groups of 8 the nine positions of an inner pixel are in.
    groups = [{(y + dy) * 8 + x + dx for dy in (-1, 0, 1) for dx in (-1, 0, 1)} for y in range(1, 7) for x in range(1, 7)]
    exact = sum(len({place // 8 for place in nine}) for nine in groups) / len(groups)
    assert reached(8) == pytest.approx(exact, rel=0.1)


def test_what_cannot_be_mapped_has_a_reason_and_no_number(chip: str) -> None:
    with pytest.raises(DoesNotFitError, match="288 inputs, a core 256 at most"):
        place([big()], replaced(fan_in=256))
    with pytest.raises(DoesNotFitError, match="synapse memory"):
        place([big()], replaced(memory=100))
    Path(chip).write_text(CHIP.replace("fan_in = 64", "fan_in = 8"))
    load_chip.cache_clear()
    found = [r for r in Derivation()(network(), chips=[chip]) if "chip" in r.conditions]
    assert {r.metric for r in found} == {"chip_energy", "chip_time", "chip_edp", "chip_count", "core_count", "chip_utilisation"}
    for record in found:
        assert record.value is None
        assert record.status == "unavailable"
        assert "a.conv: a neuron has 9 inputs" in record.reason


def test_no_counts_no_estimate_and_the_reason_why(chip: str) -> None:
    failed = [Record("events", None, "1", "counted", status="failed", reason="out of memory", job_id="a")]
    found = list(Derivation()(failed, chips=[chip]))
    assert found
    assert all(record.value is None and "out of memory" in record.reason for record in found)
    assert list(Derivation()(network(), chips=[])) == []


def test_what_is_no_spike_is_charged_and_said(chip: str) -> None:
    """A chip of spikes cannot run a layer on real numbers: its events are charged, since elsewhere they would be free."""
    real = [
        Record(
            r.metric, r.value, r.unit, r.kind, r.scope, {**r.conditions, "input": "real"}, job_id="a", cell_id="c", machine_id="m"
        )
        if r.conditions.get("site") == 0
        else r
        for r in network()
    ]
    found = list(Derivation()(real, chips=[chip]))
    assert one(found, "chip_energy_part{part=beyond}") == pytest.approx(24 * 7 * PICO)
    assert one(found, "chip_energy_part{part=synapses}") == pytest.approx(240 * PICO)
    whole = Selector("chip_energy").one(found)
    assert "a.conv" in whole.reason


@pytest.mark.parametrize(
    ("change", "line", "message"),
    [
        (('dense = "10 pJ"', "dense = 1e-11"), 16, "expected an amount with its unit"),
        (('access = "2 pJ"', 'access = "2"'), 17, "no unit in '2'"),
        (('access = "2 pJ"', 'access = "2 ns"'), 17, "got 'ns'"),
        (('spike = "5 pJ"', 'spike = "-5 pJ"'), 19, "must be at least 0, got -5 pJ"),
        (("fan_in = 64", "fan_inn = 64"), 12, "did you mean 'fan_in'"),
        (("neurons = 8", "neurons = 0"), 11, "must be above 0"),
        (("mesh = [2, 1]", "mesh = [2, 2]"), 10, "are not 2 cores"),
        (('memory = "1 KiB"', "memory = 1024"), 13, "expected an amount"),
        (('basis = "stated"', 'basis = "guessed"'), 4, "measured"),
        (("leaves_out = [", 'leaves_out = []\nx = ["'), 1, "not TOML"),
        (('["everything else"]', "[]"), 6, "has to say what"),
        (("[core]", "[cores]"), 1, "either a table [core] or a table [array]"),
        (('barrier = [[1, "100 ns"], [2, "200 ns"]]', 'barrier = [[2, "100 ns"], [1, "200 ns"]]'), 31, "ever more tiles"),
    ],
)
def test_a_wrong_chip_file_is_one_clear_error_at_its_line(chip: str, change: tuple[str, str], line: int, message: str) -> None:
    text = CHIP.replace(*change)
    assert text != CHIP
    Path(chip).write_text(text)
    load_chip.cache_clear()
    with pytest.raises(InputError) as caught:
        load_chip(chip)
    assert message in str(caught.value)
    if message != "not TOML" and line > 1:
        assert f"{chip}:{line}:" in str(caught.value)


def test_unknown_and_missing_chips() -> None:
    with pytest.raises(InputError, match="did you mean 'loihi'"):
        load_chip("loihii")
    with pytest.raises(InputError, match="cannot read the chip"):
        load_chip("/nowhere/mine.toml")
