"""Our energy and time on Loihi beside those of its simulator, SANA-FE (package ``sanafe``): other code, other people's.

A convolution, LIF, linear, LIF network is shown trains of spikes. The simulator is given the placement that ours has found and
the same weights: it must see the same spikes, and charge and take what we say.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from spikebench.activity import count
from spikebench.derived.chip import load_chip
from spikebench.derived.counted import counted
from spikebench.derived.on_chip import OnChip
from spikebench.derived.workload import loads
from spikebench.harnesses.activity import records_of
from spikebench.kernels.surrogates._formula import resolve
from spikebench.networks.neurons.lif import LIFOptions, Neuron

sanafe = pytest.importorskip("sanafe", reason="the simulator is an extra: pip install spikebench[sana-fe]")

T, C, SIDE, CHANNELS, CLASSES = 200, 2, 4, 3, 5
SCALE = float(2**20)
"""Of weights and thresholds there: the simulated Loihi cuts a membrane that has decayed to 64ths of its unit, as chips do."""


def neuron() -> Neuron:
    return Neuron(LIFOptions(), surrogate=resolve("sigmoid"), channels=1, T=T)


class Small(nn.Module):
    """(T, 1, C, H, W) of spikes to (T, 1, classes) of spikes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(C, CHANNELS, 3, padding=1, bias=False)
        self.conv_neuron = neuron()
        self.linear = nn.Linear(CHANNELS * SIDE**2, CLASSES, bias=False)
        self.linear_neuron = neuron()

    def forward(self, x: Tensor) -> Tensor:
        s = self.conv_neuron(torch.unflatten(self.conv(x.flatten(0, 1)), 0, x.shape[:2]))
        out: Tensor = self.linear_neuron(self.linear(s.flatten(2)))
        return out


@pytest.fixture(scope="module", params=["one core", "two cores", "another tile"])
def both(request: pytest.FixtureRequest) -> tuple[OnChip, dict[str, Any]]:
    """Our estimate and the simulator's result."""
    torch.manual_seed(0)
    model = Small().eval()
    with torch.no_grad():
        model.conv.weight.uniform_(-0.4, 0.9)
        model.linear.weight.uniform_(-0.3, 0.35)
    x = (torch.rand(T, 1, C, SIDE, SIDE) < 0.6).float()
    chip = load_chip("loihi")
    assert chip.core is not None
    room = {"one core": 1024, "two cores": 50, "another tile": 50}[request.param]
    per_tile = 1 if request.param == "another tile" else 4
    core = dataclasses.replace(chip.core, neurons=room, per_tile=per_tile, mesh=(8, 128 // per_tile // 8))
    (job,) = counted(list(records_of(count(model, x, T=T), model)))
    found = OnChip(dataclasses.replace(chip, core=core), loads(job))
    return found, simulated(model, x, found)


def simulated(model: Small, x: Tensor, ours: OnChip) -> dict[str, Any]:
    """The same network in SANA-FE, its inputs in a core of their own on the first tile."""
    net = sanafe.Network()
    inputs = C * SIDE**2
    trains = x.reshape(T, inputs).T.int().tolist()
    given = net.create_neuron_group("inputs", inputs, soma_hw_name="loihi_inputs[0]")
    for i, train in enumerate(trains):
        given[i].set_attributes(soma_hw_name=f"loihi_inputs[{i}]", model_attributes={"spikes": train})
    lif = {"threshold": SCALE, "leak_decay": 0.5, "reset": 0.0, "reset_mode": "hard"}
    groups = [given]
    for name, size, synapse in (("conv", CHANNELS * SIDE**2, "conv"), ("linear", CLASSES, "dense")):
        groups.append(
            net.create_neuron_group(
                name,
                size,
                model_attributes=lif,
                soma_hw_name="loihi_lif",
                default_synapse_hw_name=f"loihi_{synapse}_synapse",
                default_dendrite_hw_name="loihi_dendrites",
            )
        )
    # A column of the matrix of each layer is what one spike does, whatever the layer; the decay of the input is in the weights.
    for before, after, layer, shape in (
        (groups[0], groups[1], model.conv, (C, SIDE, SIDE)),
        (groups[1], groups[2], nn.Sequential(nn.Flatten(), model.linear), (CHANNELS, SIDE, SIDE)),
    ):
        with torch.no_grad():
            matrix = layer(torch.eye(int(np.prod(shape))).unflatten(1, shape)).flatten(1) / 2
        pairs = matrix.nonzero().tolist()
        before.connect_neurons_sparse(
            after, {"w": [SCALE * float(matrix[i, j]) for i, j in pairs]}, [tuple(pair) for pair in pairs]
        )
    architecture = sanafe.load_loihi()
    assert ours.placement is not None
    assert ours.chip.core is not None
    cores = architecture.cores()
    given.map_to_core(cores[3])
    # One core a tile of ours is the first core of each of theirs.
    stride = 4 // ours.chip.core.per_tile
    for tile in ours.placement.tiles:
        groups[1 + tile.layer].map_to_core(cores[tile.core * stride])
    machine = sanafe.SpikingChip(architecture)
    machine.load(net)
    # A spike arrives one step after it was sent: two layers are done two steps after the last input.
    return dict(machine.sim(T + 2, timing_model="detailed", perf_trace=True, processing_threads=1))


def test_the_simulator_sees_the_same_network(both: tuple[OnChip, dict[str, Any]]) -> None:
    ours, theirs = both
    assert [load.site.operation for load in ours.loads] == ["conv2d", "linear"]
    assert theirs["spikes"] == sum(load.events for load in ours.loads)
    inputs = ours.loads[0].inputs
    assert theirs["neurons_fired"] == inputs + sum(load.spikes for load in ours.loads)
    assert 0.05 < ours.loads[0].spikes / (T * ours.loads[0].neurons) < 0.9


def test_energy_is_the_simulator_s_within_one_percent(both: tuple[OnChip, dict[str, Any]]) -> None:
    ours, theirs = both
    assert ours.joules == pytest.approx(theirs["energy"]["total"], rel=0.01)
    parts = ours.parts
    assert parts["synapses"] == pytest.approx(theirs["energy"]["synapse"], rel=0.005)
    assert parts["routing"] == pytest.approx(theirs["energy"]["network"], rel=0.01)
    # Ours charges the T steps of an image in a full pipeline; theirs the two more in which it runs empty, too.
    assert parts["neurons"] == pytest.approx(theirs["energy"]["soma"], rel=0.02)


def test_time_is_the_simulator_s_within_five_percent(both: tuple[OnChip, dict[str, Any]]) -> None:
    ours, theirs = both
    steps = theirs["perf_trace"]["sim_time"]
    # Steps in which both layers work: the first and the last two fill and empty the pipeline.
    assert ours.seconds is not None
    assert ours.seconds / T == pytest.approx(sum(steps[2:T]) / (T - 2), rel=0.05)
