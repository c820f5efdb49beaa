"""Networks that others wrote, in their own way: SpikingJelly's, neurons by hand, state in buffers, called step by step."""

import pytest
import torch
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.model.spikformer import Spikformer
from torch import nn

from spikebench.auditing import audit
from tests.auditing import tiny


class Leaky(nn.Module):
    """One step a call, its membrane in a buffer: the tutorial's way."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mem", torch.zeros(1), persistent=False)

    def forward(self, x):
        self.mem = self.mem * 0.5 + x
        spike = tiny.Fire.apply(self.mem - 1.0)
        self.mem = self.mem * (1 - spike.detach())
        return spike


class StepByStep(nn.Module):
    """A loop over T around modules that keep their state; ``resets`` is what people forget."""

    def __init__(self, resets=True):
        super().__init__()
        self.T, self.resets = 4, resets
        self.conv, self.norm, self.fire1 = nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), Leaky()
        self.fc, self.fire2 = nn.Linear(8 * 64, 6), Leaky()
        nn.init.normal_(self.fc.weight, std=0.2)

    def forward(self, x):
        if self.resets:
            for neuron in (self.fire1, self.fire2):
                neuron.mem = torch.zeros(1, dtype=x.dtype)
        out = 0
        for _ in range(self.T):
            out = out + self.fire2(self.fc(self.fire1(self.norm(self.conv(x))).flatten(1)))
        return out / self.T


class Functional(nn.Module):
    """Everything in one forward, no neuron is a module; ``peeks`` scales by the largest current of the whole batch."""

    def __init__(self, peeks=False):
        super().__init__()
        self.fc1, self.fc2, self.peeks = nn.Linear(128, 32), nn.Linear(32, 5), peeks

    def forward(self, x):
        current = self.fc1(x.flatten(1)) * 2
        if self.peeks:
            current = current / current.abs().max()
        mem, out = torch.zeros_like(current), 0
        for _ in range(4):
            spike = tiny.Fire.apply(mem - 0.5)
            mem = mem * 0.9 * (1 - spike.detach()) + current
            out = out + self.fc2(spike)
        return out


def failed(model, **options):
    found = audit(model, tiny.images(), **options)
    return {one.check: one.layer for one in found.findings if one.failed}, found


@pytest.fixture(scope="module")
def spikingjelly():
    torch.manual_seed(0)
    net = Spikformer(
        T=4, in_channels=2, img_size_h=8, img_size_w=8, patch_size=4, num_classes=5, embed_dims=16, num_heads=2, depths=1
    )
    functional.set_step_mode(net, "m")
    sequence = tiny.images().unsqueeze(0).repeat(4, 1, 1, 1, 1)
    return audit(net, sequence)


def test_spikingjellys_spikformer_carries_its_state_and_is_sound_otherwise(spikingjelly):
    found = {one.check for one in spikingjelly.findings if one.failed}
    assert {"call_invariance", "spike_driven"} <= found, str(spikingjelly)
    assert not found & {"batch_invariance", "causality", "gradients", "token_order", "activity"}, str(spikingjelly)
    assert "state is left over" in spikingjelly["call_invariance"].sentence
    assert spikingjelly["call_invariance"].layer == spikingjelly["memory"].layer == "patch_embed.stages.0.neuron"


def test_a_loop_over_steps_with_state_in_buffers():
    torch.manual_seed(0)
    sound, _ = failed(StepByStep())
    assert set(sound) <= {"layout"}, sound
    forgot, found = failed(StepByStep(resets=False), checks=["call_invariance", "batch_invariance"])
    assert forgot == {"call_invariance": "fire1"}, str(found)


class OfOneShape(Leaky):
    """Its membrane fits the batch that it saw last, and no other."""

    def forward(self, x):
        if self.mem.numel() > 1 and self.mem.shape != x.shape:
            raise RuntimeError(f"a membrane of {tuple(self.mem.shape)}")
        spike = super().forward(x)
        self.mem = torch.zeros_like(x)
        return spike


def test_a_call_that_fails_after_another_is_named_with_its_layer():
    torch.manual_seed(0)
    model = StepByStep(resets=False)
    model.fire1, model.fire2 = OfOneShape(), OfOneShape()
    found = audit(model, tiny.images(), checks=["call_invariance"])["call_invariance"]
    assert (found.verdict, found.layer) == ("fail", "fire1"), str(found)
    assert "after a call with another batch: a call fails" in found.sentence


def test_neurons_that_are_no_modules():
    torch.manual_seed(0)
    sound, found = failed(Functional())
    assert sound == {}, str(found)
    assert found["activity"].verdict == "could not tell", str(found["activity"])
    assert failed(Functional(peeks=True), checks=["batch_invariance"])[0] == {"batch_invariance": "Functional"}


def test_the_network_is_left_as_it_was():
    torch.manual_seed(0)
    model = StepByStep(resets=False)
    model(tiny.images())
    before = {name: tensor.clone() for name, tensor in model.named_buffers()}
    weights = {name: tensor.clone() for name, tensor in model.named_parameters()}
    state, grad = torch.get_rng_state(), model.fc.weight.grad
    audit(model, tiny.images())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.named_buffers())
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.named_parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training
    assert model.fc.weight.grad is grad


def test_its_words_name_the_checks_that_failed():
    found = audit(tiny.net(lambda model: setattr(model.mlp, "neuron", tiny.LooksAtNeighbours())), tiny.images())
    assert str(found).splitlines()[1].strip().startswith("batch_invariance: fail at mlp.neuron: an image's result depends")
    assert "batch_invariance" in found.failed
    with pytest.raises(KeyError):
        found["no_such_check"]
