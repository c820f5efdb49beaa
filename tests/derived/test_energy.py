"""Energy derived from records: by hand, by another implementation, and never measured again."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from spikebench.core.errors import InputError
from spikebench.core.records import Record, Selector
from spikebench.core.registry import REGISTRIES
from spikebench.derived.derivations.energy import Derivation
from spikebench.derived.profile import Memory, load_profile
from spikebench.derived.terms import twin_bits


def counts(job: str = "a", complete: bool = True) -> list[Record]:
    """A network of four sites and one neuron layer, T = 4, as the harness stores it: per image."""
    found: list[Record] = []

    def put(metric: str, value: float, scope: str = "", **conditions: str | int | bool) -> None:
        unit = "1"
        found.append(Record(metric, value, unit, "counted", scope, conditions, job_id=job, cell_id="c", machine_id="m"))

    def site(place: int, scope: str, operation: str, kind: str, **values: float) -> None:
        for metric, value in values.items():
            put(metric, value, scope, site=place, operation=operation, input=kind, known_by="declared")

    put("time_steps", 4)
    put("events", 1900.5, **({} if complete else {"complete": False}))
    site(0, "stem.conv", "conv2d", "real", dense_macs=1000, dense_macs_inside=900, events=880, nonzero_fraction=1.0)
    site(
        2,
        "a.linear",
        "linear",
        "binary",
        dense_macs=2000,
        dense_macs_inside=2000,
        events=500.5,
        unit_acs=500.5,
        nonzero_fraction=0.25,
    )
    site(
        3,
        "b.linear",
        "linear",
        "integer",
        dense_macs=2000,
        dense_macs_inside=2000,
        events=400,
        unit_acs=700,
        nonzero_fraction=0.2,
    )
    site(
        5,
        "a",
        "matmul",
        "binary x binary",
        dense_macs=400,
        events=20,
        unit_acs=20,
        events_left=60,
        events_right=90,
        nonzero_fraction=0.15,
    )
    site(6, "head", "linear", "real", dense_macs=100, dense_macs_inside=100, events=100, nonzero_fraction=1.0)
    put("membrane_updates", 64, "a.neuron")
    put("spikes", 16, "a.neuron")
    put("firing_rate", 0.25, "a.neuron", t=0)
    return found


def joules(profile: str, records: Sequence[Record] | None = None, **options: object) -> float:
    found = list(Derivation()(counts() if records is None else records, profiles=[profile], **options))
    whole = Selector("energy", {"profile": Path(profile).stem}).one(found)
    parts = [r.value for r in found if r.metric == "energy" and r.scope]
    assert whole.value == pytest.approx(sum(parts))
    assert {r.kind for r in found} == {"estimated"}
    assert (whole.job_id, whole.cell_id, whole.machine_id) == ("a", "c", "m")
    terms = [r.value for r in found if r.metric == "energy_term"]
    assert not terms or sum(terms) == pytest.approx(whole.value)
    return float(whole.value)


PICO = 1e-12


def test_the_formula_of_the_paper() -> None:
    """First convolution densely as MACs and at every step, everything fed by spikes or counts of them as accumulates."""
    assert joules("spikformer-paper") == pytest.approx((4.6 * (1000 + 100) + 0.9 * (500.5 + 400 + 20)) * PICO)
    # Its own formula: rate x dense.
    expected = (4.6 * (1000 + 100) + 0.9 * (0.25 * 2000 + 0.2 * 2000 + 60)) * PICO
    assert joules("spikformer-paper", convention="rate") == pytest.approx(expected)
    once = joules("spikformer-paper", first_convolution="once")
    assert once == pytest.approx((4.6 * (250 + 100) + 0.9 * 920.5) * PICO)


@pytest.mark.parametrize(("bits", "mac", "ac"), [("fp32", 4.6, 0.9), ("fp16", 1.5, 0.4), ("int8", 0.23, 0.03)])
def test_horowitz_charges_every_unit_of_a_count(bits: str, mac: float, ac: float) -> None:
    assert joules(f"horowitz-45nm-{bits}") == pytest.approx((mac * 1100 + ac * (500.5 + 700 + 20)) * PICO)


def test_step_adds_two_membrane_accesses_an_update() -> None:
    assert joules("step-memory") - joules("spikformer-paper") == pytest.approx(3.12 * 2 * 64 * PICO)


def test_the_quantised_twin_runs_once() -> None:
    records = list(Derivation()(counts(), profiles=["quantised-twin"]))
    assert records[0].conditions["bits"] == 3
    # The head runs once already, behind the mean over time.
    assert joules("quantised-twin") == pytest.approx(0.23 * ((1000 + 2000 + 2000 + 400) / 4 + 100) * PICO)
    assert [twin_bits(T) for T in (1, 3, 4, 7, 15)] == [1, 2, 3, 3, 4]


def test_a_chip_charges_every_operation_alike() -> None:
    assert joules("chip-loihi") == pytest.approx(23.6 * (880 + 500.5 + 400 + 20 + 100) * PICO)
    assert load_profile("chip-truenorth").range == load_profile("chip-truenorth-26pj").range == (2.5e-12, 26e-12)
    assert load_profile("chip-truenorth").ac != load_profile("chip-truenorth-26pj").ac


def test_memory_costs_more_the_larger_it_is() -> None:
    memory = load_profile("lemaire-memory").memory
    assert memory is not None
    assert [memory.joules(size) * 1e12 for size in (0, 4096, 8192, 20480, 32768, 1 << 20, 1 << 24)] == pytest.approx(
        [0, 5, 10, 15, 20, 100, 100]
    )
    assert Memory(access=((10, 1.0),)).joules(5) == 0.5


def test_lemaire_s_own_formula_by_hand() -> None:
    """references.md 4.2, for a convolution of 3x3 from 2 to 4 channels on 4 x 4 pixels, T = 2, with 10 spikes and 300 events."""
    found: list[Record] = []

    def put(metric: str, value: float, scope: str = "", **conditions: str | int) -> None:
        found.append(Record(metric, value, "1", "counted", scope, conditions, job_id="a", cell_id="c", machine_id="m"))

    put("time_steps", 2)
    put("events", 300)
    values = {"dense_macs": 2 * 64 * 18, "events": 300, "unit_acs": 300, "nonzero_fraction": 10 / 64, "other_ops": 0}
    for metric, value in {**values, "input_elements": 64, "output_elements": 128, "weight_elements": 72}.items():
        put(metric, value, "conv", site=0, operation="conv2d", input="binary")
    put("membrane_updates", 128, "neuron")
    put("spikes", 7, "neuron")
    pico = 1e-12
    per_bit, base = 1.09e-5, 13.2
    queue, weights, potentials = base, per_bit * 72 * 32 + base, per_bit * 64 * 32 + base
    expected = (
        10 * queue + 7 * queue  # spikes read and written
        + 300 * weights
        + 2 * (300 + 128) * potentials  # each read and written, for every event and at every step
        + 128 * 3.2  # leak
        + (300 + 128 + 7) * 0.1  # additions
        + 10 * 2 * 3.2 + 300 / 4 * 0.1  # addresses: 2 MACs a spike, an addition for each place that it goes to
    )  # fmt: skip
    assert joules("lemaire-authors", found) == pytest.approx(expected * pico)
    memory = load_profile("lemaire-authors").memory
    assert memory is not None
    assert memory.joules(384 * 1536 * 4) == pytest.approx(219e-12, rel=0.01)


def test_a_profile_adds_nothing_to_measure_and_nothing_is_lost_between_jobs() -> None:
    both = [*counts("a"), *counts("b")]
    found = [r for r in Derivation()(both, profiles=["spikformer-paper", "step-memory"]) if r.metric == "energy" and not r.scope]
    assert [(r.job_id, r.conditions["profile"]) for r in found] == [
        ("a", "spikformer-paper"),
        ("b", "spikformer-paper"),
        ("a", "step-memory"),
        ("b", "step-memory"),
    ]
    assert found[0].value == found[1].value


def test_incomplete_counts_make_an_incomplete_estimate() -> None:
    (whole,) = [r for r in Derivation()(counts(complete=False)) if not r.scope]
    assert whole.conditions["complete"] is False


def test_no_counts_no_energy_and_the_reason_why() -> None:
    failed = [Record("events", None, "1", "counted", status="failed", reason="out of memory", job_id="a")]
    (record,) = Derivation()(failed)
    assert (record.value, record.status) == (None, "unavailable")
    assert "out of memory" in record.reason
    assert list(Derivation()([Record("accuracy", 0.9, "1", "measured")])) == []


def test_a_profile_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('source = "my lab"\n[energy]\nmac = 1.0\nac = 0.5\n[convention]\nname = "dense"\n')
    assert joules(str(path)) == 5500.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("source = 1\n[energy]\nmac = 1.0\nac = 1.0\n", "source"),
        ('source = "x"\n[energy]\nmac = 1.0\n', "energy"),
        ('source = "x"\n[energy]\nmac = -1.0\nac = 1.0\n', "at least 0"),
        ('source = "x"\nenergie = 1\n[energy]\nmac = 1.0\nac = 1.0\n', "did you mean 'energy'"),
        ('source = "x"\n[energy]\nmac = 1.0\nac = 1.0\n[convention]\nname = "event"\n', "did you mean 'events'"),
        ('source = "x"\n[energy]\nmac = 1.0\nac = 1.0\n[convention]\nreal = "sparse"\n', "real"),
        ("source = \n", "not TOML"),
    ],
)
def test_a_wrong_profile_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        load_profile(str(path))
    assert message in str(caught.value)
    assert str(path) in str(caught.value)


def test_missing_and_unknown_profiles() -> None:
    with pytest.raises(InputError, match="cannot read"):
        load_profile("/nowhere/mine.toml")
    with pytest.raises(InputError, match="spikformer-paper"):
        load_profile("spikformer-papr")


def test_values_of_the_paper_s_table() -> None:
    """Every Spikformer row of the paper is 0.9 pJ x SOPs + 1.596 mJ, which is 4.6 pJ x 4 x the first convolution of the 512-wide
    model; the 384-wide row, charged with its own convolution, is 7.335 mJ.
    """

    def row(sops: float, width: int) -> float:
        first = 4 * 3 * 9 * (width // 8) * 224 * 224
        site = {"known_by": "declared"}
        records = [
            Record("dense_macs", first, "1", "counted", "conv", {"site": 0, "operation": "conv2d", "input": "real", **site}),
            Record("events", first, "1", "counted", "conv", {"site": 0, "operation": "conv2d", "input": "real", **site}),
            Record("events", sops, "1", "counted", "rest", {"site": 1, "operation": "linear", "input": "binary", **site}),
        ]
        return next(iter(Derivation()(records))).value * 1e3

    assert row(11.09e9, 512) == pytest.approx(11.577, abs=0.001)
    assert row(6.82e9, 384) == pytest.approx(7.335, abs=0.001)
    assert row(22.09e9, 768) == pytest.approx(22.274, abs=0.001)
    assert row(6.82e9, 512) == pytest.approx(7.734, abs=0.001)


def test_every_profile_of_the_registry_prices_the_network() -> None:
    for name in REGISTRIES["profiles"]:
        value = joules(name)
        assert math.isfinite(value)
        assert value > 0
