"""The harness ``activity``: what it records of a real network on real test images, and that nothing is lost on the way back."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import spikebench
from spikebench.activity import ActivityAnalysis, count
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.records import Record, Selector
from spikebench.core.registry import REGISTRIES
from spikebench.derived.conventions import CONVENTIONS, total
from spikebench.derived.counted import counted
from spikebench.derived.derivations.energy import Derivation
from spikebench.harnesses.activity import Harness, observe, records_of


def subject(attention: str = "ssa") -> Any:
    torch.manual_seed(0)
    dataset = REGISTRIES["datasets"].get("digits")(Choice("digits").resolve("datasets"))
    model = spikebench.build("spikformer-2-64", "digits", attention=attention)
    x = torch.stack([dataset.split("train")[i][0] for i in range(64)])
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
            nn.init.constant_(module.bias, 0.4)
    with torch.no_grad():
        model.train()(x)
    return SimpleNamespace(model=model.eval(), dataset=dataset, device=torch.device("cpu"))


OPTIONS = Harness.Options(samples=40, batch_size=16)


@pytest.fixture(scope="module", params=["ssa", "softmax"])
def ran(request: pytest.FixtureRequest) -> tuple[Any, list[Record], ActivityAnalysis]:
    given = subject(request.param)
    return given, list(Harness().run(given, OPTIONS)), observe(given, OPTIONS)


def one(records: Sequence[Record], selector: str) -> Record:
    return Selector.parse(selector).one(records)


def test_whole_network(ran: tuple[Any, list[Record], ActivityAnalysis]) -> None:
    given, records, analysis = ran
    assert analysis.samples == 40
    assert one(records, "parameters").value == sum(p.numel() for p in given.model.parameters())
    assert one(records, "time_steps").value == 4
    assert one(records, "dense_macs").value == analysis.total("dense") // 40
    assert isinstance(one(records, "dense_macs").value, int)
    events = one(records, "events")
    assert events.value == analysis.total("events") / 40
    assert events.samples is not None
    assert len(events.samples) == 40
    assert sum(events.samples) == analysis.total("events")
    rate = one(records, "firing_rate")
    spikes, updates = one(records, "spikes").value, one(records, "membrane_updates").value
    assert rate.value == pytest.approx(spikes / updates)
    assert updates == one(records, "neurons").value * 4
    assert sum(rate.samples or []) / 40 == pytest.approx(rate.value)
    assert 0.01 < rate.value < 0.9


def test_sites_add_up_to_the_whole(ran: tuple[Any, list[Record], ActivityAnalysis]) -> None:
    _, records, _ = ran
    for metric in ("dense_macs", "dense_macs_inside", "events", "unit_acs"):
        parts = [r.value for r in records if r.metric == metric and "site" in r.conditions]
        assert len(parts) > 10 or metric == "unit_acs"
        assert one(records, metric).value == pytest.approx(sum(parts))


def test_layers_fire_as_they_do_one_image_at_a_time(ran: tuple[Any, list[Record], ActivityAnalysis]) -> None:
    given, records, _ = ran
    split = given.dataset.split("test")
    images = torch.stack([split[index * len(split) // 40][0] for index in range(40)])
    scope, found = "blocks.0.mlp.fc1.neuron", []
    handle = given.model.get_submodule(scope).register_forward_hook(lambda m, a, out: found.append(out.clone()))
    with torch.no_grad():
        given.model(images)
    handle.remove()
    spikes = found[0]
    assert one(records, f"spikes@{scope}").value == pytest.approx(spikes.sum().item() / 40)
    by_step = [one(records, f"firing_rate{{t={t}}}@{scope}").value for t in range(4)]
    assert by_step == pytest.approx(spikes.mean(tuple(range(1, spikes.dim()))).tolist(), rel=1e-5)
    whole = next(r for r in records if r.metric == "firing_rate" and r.scope == scope and "t" not in r.conditions)
    assert whole.samples == pytest.approx(spikes.flatten(2).mean((0, 2)).tolist(), rel=1e-5)
    assert one(records, f"dead_neurons@{scope}").value == pytest.approx(
        (spikes.flatten(2).sum((0, 1)) == 0).float().mean().item()
    )


def test_records_carry_all_that_conventions_and_energy_need(ran: tuple[Any, list[Record], ActivityAnalysis]) -> None:
    """Stored as JSON and read back, every convention gives what the analysis gave."""
    _, records, analysis = ran
    stored = [Record.from_json(record.to_json(), job_id="j") for record in records]
    (job,) = counted(stored)
    assert job.time_steps == 4
    assert job.complete
    counted_rows, rows = ([site for site in sites if site.synaptic] for sites in (analysis.sites, job.sites))
    for counted_row, row in zip(counted_rows, rows, strict=True):
        for column in ("dense_macs", "dense_macs_inside", "events", "events_left", "events_right", "other_ops", "input_elements"):
            assert getattr(row, column) * 40 == pytest.approx(getattr(counted_row, column)), (row.scope, column)
        assert (row.scope, row.operation, row.input, row.maximum) == (
            counted_row.scope,
            counted_row.operation,
            counted_row.input,
            counted_row.maximum,
        )
    for convention in CONVENTIONS:
        assert total(job.sites, convention, job.time_steps) * 40 == pytest.approx(analysis.total(convention)), convention
    found = [r for r in Derivation()(stored, profiles=REGISTRIES["profiles"].names()) if r.metric == "energy" and not r.scope]
    assert len(found) == len(REGISTRIES["profiles"].names())
    mac, ac = analysis.macs_and_acs("events", real="dense")
    assert found[-2].conditions["profile"] == "spikformer-paper"
    assert found[-2].value == pytest.approx((4.6e-12 * mac + 0.9e-12 * ac) / 40)


def test_every_metric_is_declared_and_every_record_is_json(ran: tuple[Any, list[Record], ActivityAnalysis]) -> None:
    _, records, _ = ran
    declared = {metric.name: metric for metric in Harness.metrics}
    addresses = set()
    for record in records:
        assert (record.unit, record.kind) == (declared[record.metric].unit, "counted")
        json.loads(record.to_json())
        address = (record.metric, record.scope, tuple(sorted(record.conditions.items())))
        assert address not in addresses, "two records with one address"
        addresses.add(address)


def test_the_batch_size_changes_nothing() -> None:
    given = subject()
    small, large = (list(Harness().run(given, Harness.Options(samples=20, batch_size=size))) for size in (3, 20))
    assert [record.to_json() for record in small] == [record.to_json() for record in large]


def test_what_could_not_be_counted_is_a_record_without_a_value() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.spectrum = nn.Linear(4, 4), nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.fft.fft(self.layer(x)).real

    model = Net()
    records = list(records_of(count(model, torch.rand(2, 4)), model))
    missing = [r for r in records if r.value is None]
    assert [(r.metric, r.scope, r.status, r.conditions) for r in missing] == [
        ("firing_rate", "", "unavailable", {}),
        ("events", "", "unavailable", {"operation": "aten._fft_r2c"}),
    ]
    assert [r.reason for r in missing[:1]] == ["there is no spiking neuron in this network"]
    assert "no rule" in missing[1].reason
    whole = one(records, "dense_macs")
    assert (whole.value, whole.conditions) == (16, {"complete": False})
    (energy,) = [r for r in Derivation()(records) if not r.scope]
    assert energy.conditions["complete"] is False


def test_all_images_and_wrong_options() -> None:
    with pytest.raises(InputError, match="at least"):
        Choice("activity", {"batch_size": 0}).resolve("harnesses")
    split = subject().dataset.split("test")
    from spikebench.data import spread

    assert spread(split, 0) is split
    assert len(spread(split, 10**6)) == len(split)
    assert len(spread(split, 50)) == 50


def test_lemaire_s_model_equals_spikingjelly_s_where_both_are_exact() -> None:
    """Linear layers have no taps on padding, so a nominal fan-out is exact; one image, one step, as its capacities need."""
    from spikingjelly.activation_based import functional, neuron, op_counter

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(700, 300), neuron.LIFNode(), nn.Linear(300, 40), neuron.LIFNode())
    with torch.no_grad():
        model[0].weight.mul_(6)
        model[2].weight.mul_(6)
    for x in (torch.rand(1, 700), (torch.rand(1, 700) < 0.3).float()):
        theirs = op_counter.estimate_lemaire_energy(model, x)
        functional.reset_net(model)
        records = list(records_of(count(model, x), model))
        found = list(Derivation()(records, profiles=["lemaire-memory"]))
        assert one(found, "energy").value == pytest.approx(theirs.total_pj * 1e-12)
        terms = {r.conditions["term"]: r.value for r in found if r.metric == "energy_term"}
        assert terms["operations"] == pytest.approx(theirs.breakdown_pj["ops_pj"] * 1e-12)
        assert terms["addressing"] == pytest.approx(theirs.breakdown_pj["addressing_pj"] * 1e-12)
        assert terms["membrane"] == pytest.approx(theirs.breakdown_pj["potential_pj"] * 1e-12)
        assert theirs.counts["synop"] + theirs.counts["mac"] > 10**4


def test_no_torch_is_imported_before_a_run() -> None:
    code = (
        "import sys; from spikebench.core.metrics import catalogue; catalogue(); import spikebench.derived.derivations.energy;"
        "assert not {'torch', 'pandas'} & set(sys.modules)"
    )
    root = Path(spikebench.__file__).parents[1]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def test_a_neuron_that_nobody_declared_is_a_record_with_its_reason() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            mem = spike = torch.zeros(x.shape[1], 4)
            for step in x:
                mem = mem * 0.5 * (1 - spike) + self.layer(step)
                spike = (mem > 0.1).float()
            return spike

    torch.manual_seed(0)
    records = list(records_of(count(Net(), torch.rand(3, 2, 4), T=3, samples=2), Net()))
    (missing,) = [record for record in records if record.conditions.get("operation") == "neuron"]
    assert missing.value is None
    assert "elementwise products feed a threshold" in missing.reason
    assert one(records, "events{complete=false}").value
