"""Faults of released code, reproduced by name: the rebuilt code with the fault is the oracle."""

import pytest
import torch

from spikebench import InputSpec, VariantSpec, build, count
from spikebench.auditing import audit
from spikebench.core.errors import InputError
from spikebench.networks.foreign import apply_quirks, load_foreign
from spikebench.networks.layouts import LAYOUTS

SIZE = {"dim": 64, "depth": 4}


@pytest.fixture(scope="module")
def released(others, lively):
    """QKFormer as released, fault and all, in float64."""
    torch.manual_seed(0)
    return lively(others.QKFormer(carries=True, **SIZE))


def ours(released, quirks):
    return load_foreign({name: tensor.float() for name, tensor in released.state_dict().items()}, "qkformer-cifar", quirks=quirks)


def images(batch):
    return torch.randn(batch, 3, 16, 16, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


def spikes(model, kind, x):
    totals = []
    hooks = [m.register_forward_hook(lambda _, __, y: totals.append(float(y.sum()))) for m in model.modules() if kind(m)]
    with torch.no_grad():
        logits = model(x)
    for hook in hooks:
        hook.remove()
    return logits, sorted(totals)


@pytest.mark.parametrize("batch", [1, 2, 7])
def test_the_released_qkformer_with_its_carried_state(released, batch, monkeypatch):
    from spikingjelly.activation_based import neuron

    from spikebench.networks.foreign._quirks import CarriedState
    from spikebench.networks.neurons._base import SpikingNeuron

    seen = []
    fired = neuron.LIFNode.forward
    monkeypatch.setattr(neuron.LIFNode, "forward", lambda self, x: seen.append(fired(self, x)) or seen[-1])
    with torch.no_grad():
        expected = released.double()(images(batch))
    theirs = sorted(float(spike.sum()) for spike in seen)
    model = ours(released, "released").double()
    inner = {id(m.neuron) for m in model.modules() if isinstance(m, CarriedState)}
    assert len(inner) == SIZE["depth"] - 2
    got, own = spikes(model, lambda m: isinstance(m, SpikingNeuron) and id(m) not in inner, images(batch))
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-9)
    assert own == theirs
    with torch.no_grad():
        without = ours(released, "none").double()(images(batch))
    if batch == 1:
        # The membrane runs on over the steps of one image, as it should: there is no other image.
        torch.testing.assert_close(without, expected, rtol=0, atol=1e-9)
    else:
        assert (without - expected).abs().max() > 1e-3


def test_the_audit_finds_it_where_it_is(released):
    x = images(3).float()
    found = audit(ours(released, "released"), x, checks=["batch_invariance"])["batch_invariance"]
    assert (found.verdict, found.layer) == ("fail", "stages.2.blocks.0.attention.proj.neuron")
    assert audit(ours(released, "none"), x, checks=["batch_invariance"])["batch_invariance"].verdict == "pass"


def test_its_samples_are_not_told_apart_by_counting(released):
    x = images(2).float()
    assert count(ours(released, "none"), x).by_sample("events") is not None
    counted = count(ours(released, "released"), x)
    assert counted.total() > 0
    assert counted.by_sample("events") is None
    assert counted.not_counted == ()


def test_quirks_are_asked_for_by_name(released):
    assert set(LAYOUTS["qkformer-cifar"].quirks) == {"carried_state"}
    one, all_ = ours(released, "carried_state"), ours(released, "released")
    x = images(2).float()
    with torch.no_grad():
        assert torch.equal(one(x), all_(x))
    with pytest.raises(InputError, match="did you mean 'carried_state'"):
        ours(released, "carried_stat")
    with pytest.raises(InputError, match="layout spikformer-cifar has no quirk 'carried_state'"):
        LAYOUTS["spikformer-cifar"].chosen("carried_state")
    assert LAYOUTS["spikformer-cifar"].chosen("released") == ()


def test_a_network_without_the_place_for_it_is_refused():
    small = VariantSpec(depth=3, dim=32, num_heads=4, T=2)
    with pytest.raises(InputError, match="QKFormer's last stage"):
        apply_quirks(build(small, InputSpec(3, 16, 10)), "qkformer-cifar", "released")
    steps = build(small.replace(family="qkformer", neuron="psn"), InputSpec(3, 16, 10))
    with pytest.raises(InputError, match="parameters for each"):
        apply_quirks(steps, "qkformer-cifar", "released")
