"""What reports say of chips: every number beside its file's name, what does not fit, which layers pay, and who disagrees."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import kendalltau

from spikebench.core.records import Record, Selector
from spikebench.derived.statistics import kendall_tau
from spikebench.reading.model.frame import Frame, derive
from spikebench.reading.model.on_chips import chip_formula, in_units
from spikebench.reading.reports.document import Absent, Figure, Label, Number, Table
from spikebench.reading.reports.explain import explain
from spikebench.reading.reports.sections.energy_models import Section as EnergyModels
from spikebench.reading.reports.sections.energy_models import cheapest
from spikebench.reading.reports.sections.on_chips import Section as OnChips
from tests.derived.test_chips import network
from tests.reading.conftest import cell

CHIPS = ("loihi", "loihi-2", "truenorth", "digital-array")


def scaled(cell_id: str, activity: float, outputs: int) -> list[Record]:
    """The network of three layers with its activity scaled, and its last layer made wider."""
    found = []
    for record in network(cell_id):
        value = record.value
        if record.metric in ("events", "unit_acs", "spikes", "events_by_step"):
            value = value * activity
        if record.conditions.get("site") == 2 and record.metric in ("dense_macs", "output_elements", "weight_elements"):
            value = value * outputs
        if record.scope == "c.neuron" and record.metric == "membrane_updates":
            value = value * outputs
        found.append(
            Record(record.metric, value, "1", "counted", record.scope, record.conditions, job_id=cell_id, cell_id=cell_id)
        )
    return found


@pytest.fixture(scope="module")
def frame() -> Frame:
    """Three variants: one that is active, one that is wide and quiet, and one between them."""
    cells = {c["cell_id"]: c for c in (cell(T=2), cell(T=2, stem="scs"), cell(T=2, attention="softmax"))}
    records = [r for i, x in zip(cells, ((2.0, 1), (0.5, 400), (1.5, 20)), strict=True) for r in scaled(i, *x)]
    records += derive(records, profiles=["spikformer-paper", "lemaire-memory"], chips=CHIPS)
    records += [
        Record("energy_per_image", 1e-3 * (1 + n), "J", conditions={"batch_size": 1}, cell_id=i, job_id="p", machine_id="m")
        for n, i in enumerate(cells)
    ]
    return Frame(records, cells)


def test_every_variant_on_every_chip_and_what_has_no_number_has_a_reason(frame: Frame) -> None:
    table = next(block for block in OnChips()(frame) if isinstance(block, Table) and block.key == "chips")
    keys = [column.key for column in table.columns]
    assert len(table.rows) == len(CHIPS) * 3
    energy, chip = keys.index("chip_energy"), keys.index("chip")
    for row in table.rows:
        name = row.cells[chip]
        assert isinstance(name, Label)
        about = table.footnotes[name.notes[0]]
        assert about.startswith(f"{name.text}, version 1, figures ")
        assert "It leaves out" in about
        if name.text == "loihi-2":
            assert isinstance(row.cells[energy], Absent)
            assert "no energies of loihi-2 are public" in table.footnotes[row.cells[energy].notes[0]]
            assert isinstance(row.cells[keys.index("chip_time")], Number)
        else:
            assert isinstance(row.cells[energy], Number)
    counted = [row.cells[keys.index("chip_count")] for row in table.rows if row.cells[chip].text == "loihi"]  # type: ignore[union-attr]
    assert all(isinstance(cell, Number) and "of 128 cores" in table.footnotes[cell.notes[-1]] for cell in counted)


def test_bars_are_parts_of_each_chip_s_own_whole(frame: Frame) -> None:
    (figure,) = [block for block in OnChips()(frame) if isinstance(block, Figure)]
    assert figure.ticks == ("loihi", "truenorth", "digital-array")
    for place in range(len(figure.ticks)):
        assert sum(series.y[place] for series in figure.series) == pytest.approx(100)


def test_a_layer_pays_below_its_break_even_rate_alone(frame: Frame) -> None:
    table = next(block for block in OnChips()(frame) if isinstance(block, Table) and block.key == "chip-layers")
    seen = set()
    for row in table.rows:
        rate, quantised, dense, pays = row.cells[1:]
        wins = [isinstance(limit, Number) and rate.value < limit.value for limit in (quantised, dense)]  # type: ignore[union-attr]
        expected = "yes" if all(wins) else "quantised" if wins[0] else "dense" if wins[1] else "no"
        assert isinstance(pays, Label)
        assert pays.text == expected
        seen.add(expected)
    assert seen


def test_explain_gives_the_formula_with_the_numbers_put_in(frame: Frame) -> None:
    group = next(iter(frame.groups))
    document = explain(frame, "chip_energy{chip=loihi}", group)
    text = chip_formula(frame, group, Selector("chip_energy", {"chip": "loihi"}))
    assert any(getattr(block, "text", "") == text for block in document.blocks)
    assert "dense synaptic events × 35.5 pJ" in text
    assert "convolution synaptic events × 24 pJ" in text
    assert "loihi, version 1; figures simulated" in text
    # The terms are the whole.
    terms = text.removeprefix("E = ").split(" (loihi")[0].split(" + ")
    units = {"pJ": 1e-12, "nJ": 1e-9, "µJ": 1e-6}
    total = sum(float(t.split()[0].replace(",", "")) * float(t.split()[-2]) * units[t.split()[-1]] for t in terms)
    whole = Selector.parse("chip_energy{chip=loihi}").one(list(frame.by_group[group]))
    assert whole.value == pytest.approx(total, rel=0.05)  # counts are printed whole, and there are few
    layers = next(block for block in document.blocks if isinstance(block, Table) and block.key == "layers")
    assert sum(row.cells[3].value for row in layers.rows) == pytest.approx(whole.value)  # type: ignore[union-attr]


def test_measured_energy_beside_every_estimate_and_who_is_swapped(frame: Frame) -> None:
    energies, agreement = EnergyModels()(frame)
    assert isinstance(energies, Table)
    assert isinstance(agreement, Table)
    names = [row.cells[0].text for row in energies.rows]  # type: ignore[union-attr]
    assert names[0] == "measured 1"
    assert set(names[1:]) == {"spikformer-paper", "lemaire-memory", "loihi", "truenorth", "digital-array"}
    assert [row.marked for row in energies.rows] == [True] + [False] * 5
    values = {row.cells[0].text: [c.value for c in row.cells[1:4]] for row in energies.rows}  # type: ignore[union-attr]
    ratio = energies.rows[names.index("spikformer-paper")].cells[-1]
    assert isinstance(ratio, Number)
    assert ratio.value == pytest.approx(np.exp(np.mean(np.log(np.array(values["spikformer-paper"]) / values["measured 1"]))))
    for row in agreement.rows:
        a, b, tau, swapped = row.cells
        left, right = values[a.text], values[b.text]  # type: ignore[union-attr]
        assert tau.value == pytest.approx(kendalltau(left, right).statistic)  # type: ignore[union-attr]
        pairs = sum((left[i] - left[j]) * (right[i] - right[j]) < 0 for i, j in combinations(range(3), 2))
        assert len([part for part in swapped.text.split("; ") if part]) == pairs  # type: ignore[union-attr]
    taus = [row.cells[2].value for row in agreement.rows]  # type: ignore[union-attr]
    assert taus == sorted(taus)
    assert taus[0] < 0 < taus[-1], "some of these models disagree, some agree"


def test_the_answer_says_which_is_cheapest_by_how_many_models(frame: Frame) -> None:
    energies, _ = EnergyModels()(frame)
    assert isinstance(energies, Table)
    heads = [column.heading for column in energies.columns[1:4]]
    lowest = [heads[int(np.argmin([c.value for c in row.cells[1:4]]))] for row in energies.rows]  # type: ignore[union-attr]
    said = cheapest(frame)
    for name in heads:
        count = lowest.count(name)
        assert (f"{name} by {count} " in said) == (count > 0)
    assert f" of {len(lowest)} models" in said
    assert ("do not agree" in said) == (len(set(lowest)) > 1)
    assert cheapest(Frame([], {})) == ""


def test_kendall_s_tau_is_scipy_s() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        a, b = random.integers(0, 4, (2, 7)).tolist()
        expected = kendalltau(a, b).statistic
        mine = kendall_tau(a, b)
        assert (mine is None) == bool(np.isnan(expected))
        assert mine is None or mine == pytest.approx(expected)


def test_without_chips_there_is_nothing_to_say() -> None:
    assert list(OnChips()(Frame([], {}))) == list(EnergyModels()(Frame([], {}))) == []
    assert [in_units(x, "J") for x in (35.5e-12, 2.19e-9, 0.0, 1.0, 26e-15)] == ["35.5 pJ", "2.19 nJ", "0 pJ", "1 J", "0.026 pJ"]
