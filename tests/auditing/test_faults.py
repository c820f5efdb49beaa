"""Each check finds the network with exactly its fault, names the layer, and lets the healthy twin pass."""

import dataclasses

import pytest
import torch
from torch import nn

from spikebench.auditing import audit
from spikebench.auditing.checks import declared
from spikebench.core import published
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import InputSpec
from spikebench.networks import build
from spikebench.networks.presets import load
from spikebench.testing._components import INPUTS, SMALL
from tests.auditing import tiny


@pytest.fixture(scope="module")
def healthy():
    return audit(tiny.net(), tiny.images())


def neuron(make, *path):
    """Puts another neuron into a place of the network."""

    def change(model):
        owner = model.get_submodule(".".join(path[:-1]))
        setattr(owner, path[-1], make())

    return change


def attention(make):
    return lambda model: setattr(model, "attention", make(16))


FAULTS = {
    "batch_invariance": [(neuron(tiny.LooksAtNeighbours, "attention", "k", "neuron"), "attention.k.neuron")],
    "call_invariance": [(neuron(tiny.Remembers, "mlp", "neuron"), "mlp.neuron")],
    "causality": [(neuron(tiny.Foresees, "attention", "q", "neuron"), "attention.q.neuron")],
    "gradients": [
        (lambda model: model.mlp.register_parameter("spare", nn.Parameter(torch.ones(3))), "mlp.spare"),
        (neuron(tiny.Cuts, "attention", "proj", "neuron"), "conv.weight"),
    ],
    "activity": [
        (neuron(lambda: tiny.LIF(1000.0), "mlp", "neuron"), "mlp.neuron"),
        (neuron(lambda: tiny.LIF(-1000.0), "attention", "q", "neuron"), "attention.q.neuron"),
        (neuron(tiny.FirstStepAlone, "attention", "proj", "neuron"), "attention.proj.neuron"),
    ],
    "memory": [
        (neuron(tiny.Hoards, "mlp", "neuron"), "mlp.neuron"),
        (neuron(tiny.KeepsItsGraph, "attention", "q", "neuron"), "attention.q.neuron"),
    ],
    "precision": [(lambda model: setattr(model.attention.k, "neuron", tiny.NearlyCancels(16)), "attention.k.neuron.linear")],
    "training_evaluation": [
        (lambda model: setattr(model.mlp.norm, "momentum", 0.0), "mlp.norm"),
        (lambda model: setattr(model.attention.q, "norm", tiny.Stubborn(16)), "attention.q.norm"),
        (lambda model: setattr(model.attention.q, "norm", nn.BatchNorm1d(16, track_running_stats=False)), "attention.q.norm"),
    ],
    "layout": [
        (lambda model: setattr(model, "entry", tiny.Viewed()), "entry"),
        (lambda model: setattr(model, "mlp", tiny.PerImage(model.mlp)), "mlp.norm"),
    ],
    "token_order": [(attention(tiny.ShufflingAttention), "attention"), (attention(tiny.PlacedAttention), "attention")],
    "spike_driven": [(lambda model: setattr(model, "attention", tiny.Adds(model.attention)), "mlp.linear")],
}


CASES = [(check, change, layer) for check, faults in FAULTS.items() for change, layer in faults]


@pytest.mark.parametrize(("check", "change", "layer"), CASES, ids=[f"{check}-{layer}" for check, _, layer in CASES])
def test_a_seeded_fault_is_found_and_its_layer_named(check, change, layer):
    found = audit(tiny.net(change), tiny.images(), checks=[check])[check]
    assert found.verdict == "fail", str(found)
    assert found.layer == layer, str(found)
    # A state that is not detached has no figure: the second step is an error.
    assert found.figure or "is not detached" in found.sentence


@pytest.mark.parametrize("check", REGISTRIES["checks"].names())
def test_no_check_fires_on_the_healthy_twin(check, healthy):
    found = healthy[check]
    assert found.verdict == ("not applicable" if check == "declared" else "pass"), str(found)


OURS = SMALL.replace(depth=2)


def other_threshold(model):
    model.blocks[1].attention.neuron.v_threshold = 1.0


def other_depth(model):
    del model.blocks[1]


def other_width(model):
    model.blocks[0].mlp.fc1.linear = nn.Linear(16, 24)


def other_heads(model):
    model.blocks[1].attention.num_heads = 4


DECLARED = {
    other_threshold: "blocks.1.attention.neuron",
    other_depth: "blocks.0",
    other_width: "blocks.0.mlp",
    other_heads: "blocks.1.attention",
}


@pytest.mark.parametrize("change", [None, *DECLARED], ids=lambda change: getattr(change, "__name__", "healthy"))
def test_what_is_built_is_held_against_what_is_declared(change):
    model = build(OURS, INPUTS)
    if change is not None:
        change(model)
    found = audit(model, torch.rand(2, 2, 8, 8), checks=["declared"])["declared"]
    assert found.verdict == ("pass" if change is None else "fail"), str(found)
    assert found.layer == DECLARED.get(change, "")


def test_a_preset_with_other_parameters_than_printed_is_found(monkeypatch):
    spec = load("spikformer-4-256")
    model, image = build(spec, InputSpec(3, 32, 10)), torch.rand(2, 3, 32, 32)
    found = audit(model, image, checks=["declared"])["declared"]
    assert found.verdict == "pass", str(found)
    assert 0 < found.figure < 0.003
    rows = [dataclasses.replace(row, records=tuple(map(_tenth_more, row.records))) for row in published.load_all()]
    monkeypatch.setattr(declared, "load_all", lambda: rows)
    found = audit(model, image, checks=["declared"])["declared"]
    assert found.verdict == "fail"
    assert "4,155,178" in found.sentence


def _tenth_more(record):
    return dataclasses.replace(record, value=int(record.value * 1.1)) if record.metric == "parameters" else record


def test_every_check_has_a_seeded_fault():
    assert {*FAULTS, "declared"} == set(REGISTRIES["checks"])
