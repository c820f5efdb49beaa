"""Activation checkpointing: less memory, and to the last bit the weights, statistics and losses that there are without it."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from spikebench import data
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.records import Selector
from spikebench.core.variant import VariantSpec
from spikebench.harnesses import memory
from spikebench.harnesses._memory.allocations import Saved
from spikebench.networks import build
from spikebench.networks.batch_parts import together
from spikebench.testing import make_subject
from spikebench.training.loop import Training
from spikebench.training.objective import Classification
from spikebench.training.options import TrainingOptions
from spikebench.training.recomputing import recomputing

CPU = torch.device("cpu")
SMALL = {"random": {"channels": 1, "size": 8, "classes": 4, "samples": 24}}
OPTIONS = TrainingOptions(epochs=2, batch_size=8, accumulate=2, lr=5e-3, drop_path=0.5, ema=0.9, rate_penalty=0.1, amp="off")
NETWORKS = {
    "spikformer": VariantSpec(depth=2, dim=16, num_heads=2, T=2),
    "static": VariantSpec(depth=2, dim=16, num_heads=2, T=3, stem=Choice("scs"), residual=Choice("membrane")),
    "learned neurons": VariantSpec(depth=2, dim=16, num_heads=2, T=2, neuron=Choice("plif"), encoding=Choice("rate")),
    "drawn attention": VariantSpec(depth=2, dim=16, num_heads=2, T=2, attention=Choice("random_qk"), head=Choice("tet")),
    "qkformer": VariantSpec(family=Choice("qkformer", {"blocks": (1, 1)}), depth=3, dim=16, num_heads=2, T=2),
}


def trained(spec: VariantSpec, options: TrainingOptions, how: str) -> Training:
    torch.manual_seed(0)
    dataset = data.load(SMALL)
    options = replace(options, activation_checkpointing=how)
    training = Training(build(spec, dataset.inputs), dataset, options, seed=3, device=CPU)
    for _ in range(options.epochs):
        training.epoch()
    return training


def same(one: Training, other: Training) -> None:
    assert [epoch.training_loss for epoch in one.history] == [epoch.training_loss for epoch in other.history]
    for network in ("model", "kept"):
        expected, found = getattr(one, network).state_dict(), getattr(other, network).state_dict()
        assert list(expected) == list(found)
        for name, value in expected.items():
            assert torch.equal(value, found[name]), name


@pytest.mark.parametrize("name", NETWORKS)
def test_weights_and_statistics_are_equal_to_the_bit(name: str) -> None:
    """BatchNorm's counters among them: a pass that is computed twice is one batch. Paths are dropped, and rates penalised."""
    same(trained(NETWORKS[name], OPTIONS, "off"), trained(NETWORKS[name], OPTIONS, "blocks"))


def test_spikingjellys_own_is_equal_too() -> None:
    spec = VariantSpec(family=Choice("sj", {"patch_size": 4}), depth=2, dim=16, num_heads=2, T=2)
    plain = replace(OPTIONS, drop_path=0.0, rate_penalty=0.0)
    one, other = trained(spec, plain, "off"), trained(spec, plain, "spikingjelly")
    same(one, other)
    assert [name for name, _ in one.model.named_modules()] == [name for name, _ in other.model.named_modules()]


def test_batches_that_are_computed_in_parts_are_so_the_second_time() -> None:
    """The backward pass may begin when what surrounded the forward pass is over, and in another thread."""
    dataset = data.load(SMALL)
    torch.manual_seed(0)
    model = build(NETWORKS["spikformer"], dataset.inputs).double().train()
    x, y = (part[:8] for part in dataset.split("train").tensors)
    gradients = []
    for how in ("off", "blocks"):
        twin = copy.deepcopy(model)
        with recomputing(twin, how):
            with together(lambda part: 2 * part):  # as if another process had the same samples
                loss = Classification(OPTIONS)(twin, x.double(), y)
            loss.backward()
        gradients.append([parameter.grad for parameter in twin.parameters()])
        gradients[-1] += [buffer.double() for buffer in twin.buffers()]
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_outside_and_in_evaluation_the_network_is_as_it_was() -> None:
    model = build(NETWORKS["spikformer"], data.load(SMALL).inputs)
    x, names = torch.rand(2, 1, 8, 8), list(model.state_dict())
    expected = model.eval()(x)
    with recomputing(model, "blocks"):
        assert torch.equal(model(x), expected)
        assert list(copy.deepcopy(model).state_dict()) == names
    assert not any("forward" in vars(module) for module in model.modules())


@pytest.mark.parametrize("how", ["blocks", "spikingjelly"])
def test_a_network_without_such_parts_is_refused(how: str) -> None:
    with pytest.raises(InputError, match=f"activation_checkpointing: nothing here can be recomputed as '{how}'"):
        recomputing(nn.Linear(1, 1), how)


@pytest.mark.parametrize(
    ("how", "spec"),
    [
        ("blocks", VariantSpec(depth=4, dim=32, num_heads=2, T=4)),
        ("spikingjelly", VariantSpec(family=Choice("sj", {"patch_size": 4}), depth=2, dim=16, num_heads=2, T=4)),
    ],
)
def test_less_is_kept_and_the_peak_is_lower(how: str, spec: VariantSpec, tmp_path: Path) -> None:
    peaks = []
    for training in (Choice("train"), Choice("train", {"activation_checkpointing": how})):
        choice = Choice("memory", {"batch_sizes": [8], "phases": ["training"]})
        subject = make_subject(tmp_path, choice, variant=spec, training=training)
        records = list(memory.Harness().run(subject, choice.resolve("harnesses")))
        peaks.append(Selector.parse("peak_allocated").one(records).value)
    assert peaks[1] < 0.8 * peaks[0]
    model = build(spec, data.load(SMALL).inputs).train()
    kept = []
    for way in ("off", how):
        saved = Saved(model)
        with recomputing(model, way), saved.watching():
            Classification(TrainingOptions())(model, torch.rand(8, 1, 8, 8), torch.zeros(8, dtype=torch.int64))
        kept.append(saved.total)
    assert kept[1] < kept[0]
