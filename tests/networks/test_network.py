"""The interface that training, counting and suites rely on."""

import pytest
import torch
from torch import nn

from spikebench.activity import count
from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.core.values import listening
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks import SpikingNeuron, build, check, collecting_rates, resolve, shortcuts
from spikebench.networks.network import ForeignNetwork

INPUTS = InputSpec(2, 8, 3)
TINY = VariantSpec(depth=2, dim=16, num_heads=2, mlp_ratio=2.0, T=2)


def keys(spec, inputs=INPUTS):
    return [problem.key for problem in check(spec, inputs)]


@pytest.mark.parametrize(
    ("changes", "inputs", "expected"),
    [
        ({"num_heads": 3}, INPUTS, ["num_heads"]),
        ({"dim": 12, "num_heads": 2}, INPUTS, ["dim"]),
        ({"stem": {"name": "sps", "patch_size": 3}}, INPUTS, ["stem.patch_size"]),
        ({"stem": {"name": "sps", "patch_size": 32}}, INPUTS, ["stem.patch_size"]),
        ({"stem": {"name": "scs", "patch_size": 1}}, INPUTS, ["stem.patch_size"]),
        ({"stem": {"name": "conv1", "patch_size": 3}}, INPUTS, ["stem.patch_size"]),
        ({}, InputSpec(2, 225, 3), ["stem.patch_size"]),
        ({"stem": "sdt"}, INPUTS, ["residual"]),
        ({"stem": "spikingformer", "residual": "xor"}, INPUTS, ["residual"]),
        ({"neuron": "ilif", "residual": "or"}, INPUTS, ["residual"]),
        ({"neuron": "ilif", "surrogate": "atan"}, INPUTS, ["surrogate"]),
        ({"neuron": "glif", "attention": {"name": "ssa", "v_threshold": 1.5}}, INPUTS, ["attention.v_threshold"]),
        ({"attention": "statten", "T": 3}, INPUTS, ["attention.chunk"]),
        ({"attention": {"name": "dssa", "reduction": 3}}, INPUTS, ["attention.reduction"]),
        ({"encoding": "rate"}, InputSpec(2, 8, 3, events=True), ["encoding"]),
        ({"family": "vit"}, INPUTS, ["T", "attention"]),
        ({"family": "sj", "stem": "scs"}, INPUTS, ["stem"]),
        ({"family": "sj"}, INPUTS, ["family.patch_size"]),
        ({"family": "qkformer", "depth": 2}, INPUTS, ["family.blocks"]),
        ({"family": {"name": "qkformer", "first_patch": 4}, "depth": 3}, InputSpec(2, 20, 3), ["family.first_patch"]),
        ({"family": "qkformer", "dim": 24, "num_heads": 4, "depth": 3}, INPUTS, ["dim"]),
        ({"stem": "spss", "attention": {"name": "ssa", "ordr": "auto"}}, INPUTS, ["stem", "attention.ordr"]),
        ({"neuron": {"name": "lif", "tau": "2"}}, INPUTS, ["neuron.tau"]),
    ],
    ids=str,
)
def test_what_makes_no_network_is_refused_with_its_field(changes, inputs, expected):
    spec = TINY.replace(**changes)
    assert keys(spec, inputs) == expected
    with pytest.raises(InputError) as error:
        build(spec, inputs)
    assert [problem.key for problem in error.value.problems] == expected


def test_every_problem_comes_at_once():
    spec = TINY.replace(dim=12, num_heads=5, stem={"name": "sps", "patch_size": 3}, neuron="ilif", residual="xor")
    assert sorted(keys(spec)) == ["dim", "num_heads", "residual", "stem.patch_size"]


@pytest.mark.parametrize(("size", "patch"), [(224, 16), (128, 16), (64, 8), (48, 4), (32, 4), (28, 4), (8, 2), (2, 1)])
def test_auto_is_the_papers_patch_size(size, patch):
    spec = resolve(TINY, InputSpec(1, size, 2))
    assert spec.stem.options["patch_size"] == patch
    assert resolve(spec, InputSpec(1, size, 2)) == spec
    model = build(TINY, InputSpec(1, size, 2)) if size < 100 else None
    if model is not None:
        assert model.stem(torch.zeros(1, 1, 1, size, size)).shape[-1] == size // patch


@pytest.mark.parametrize("stem", sorted(REGISTRIES["stems"]))
@pytest.mark.parametrize("patch", [1, 2, 3, 4])
def test_stems_divide_the_image_by_their_patch_size(stem, patch):
    residual = "membrane" if REGISTRIES["stems"].get(stem).emits_potentials else "add"
    spec = TINY.replace(stem={"name": stem, "patch_size": patch}, residual=residual)
    inputs = InputSpec(2, 12, 3)
    if check(spec, inputs):
        assert patch == 3 or (stem, patch) == ("scs", 1)
    else:
        assert build(spec, inputs).stem(torch.rand(2, 3, 2, 12, 12)).shape == (2, 3, 16, 12 // patch, 12 // patch)


def test_a_network_takes_images_and_sequences():
    model = build(TINY, INPUTS).eval()
    x = torch.rand(3, 2, 8, 8)
    assert model.spec == TINY
    assert model.inputs == INPUTS
    with torch.no_grad():
        expected = model(x)
        assert expected.shape == (3, 3)
        assert torch.equal(model(x.unsqueeze(0).repeat(2, 1, 1, 1, 1)), expected)
        model.batch_first = True
        assert torch.equal(model(x.unsqueeze(1).repeat(1, 2, 1, 1, 1)), expected)


def test_time_steps_are_settable_and_refused_where_parameters_belong_to_steps():
    model = build(TINY, INPUTS).eval()
    x = torch.rand(3, 2, 8, 8)
    model.T = 4
    assert model.forward_steps(x).shape == (1, 3, 3)
    other = build(TINY.replace(T=4), INPUTS).eval()
    other.load_state_dict(model.state_dict())
    assert torch.equal(model(x), other(x))
    with pytest.raises(InputError, match="at least 1"):
        model.T = 0
    for changes in ({"neuron": "psn"}, {"neuron": "glif"}, {"attention": "statten"}):
        fixed = build(TINY.replace(**changes), INPUTS)
        fixed.T = 2
        with pytest.raises(InputError, match="T = 3"):
            fixed.T = 3


@pytest.mark.parametrize("head", ["mean", "tet", "spiking"])
def test_loss_returns_the_heads_loss_and_the_logits(head):
    model = build(TINY.replace(head=head), INPUTS).eval()
    x, y = torch.rand(3, 2, 8, 8), torch.tensor([0, 1, 2])
    loss, logits = model.loss(x, y, label_smoothing=0.1)
    torch.testing.assert_close(logits, model(x))
    torch.testing.assert_close(loss, model.head.loss(model.forward_steps(x), y, 0.1))


@pytest.mark.parametrize("changes", [{}, {"neuron": "ilif"}, {"residual": "membrane", "stem": "sdt", "attention": "sdsa"}])
def test_rates_of_every_neuron_are_collected_with_gradient(changes):
    model = build(TINY.replace(**changes), INPUTS)
    x = torch.rand(3, 2, 8, 8)
    seen = []
    for module in model.modules():
        if isinstance(module, SpikingNeuron):
            module.register_forward_hook(lambda _, __, y: seen.append(y.detach().mean()))
    with collecting_rates() as rates:
        model(x)
    assert [float(rate) for rate in rates] == [float(rate) for rate in seen]
    assert len(rates) == sum(isinstance(module, SpikingNeuron) for module in model.modules())
    torch.stack(rates).sum().backward()
    assert any(p.grad is not None and p.grad.any() for p in model.stem.parameters())
    model(x)
    assert len(rates) * 2 == len(seen)


def test_every_declared_tensor_holds_what_was_declared():
    """The counter checks this too; here it is checked for every component of every registry at once."""
    specs = [TINY.replace(attention=name) for name in REGISTRIES["attentions"]]
    specs += [TINY.replace(residual=name) for name in REGISTRIES["residuals"]]
    specs += [TINY.replace(stem=name, residual="membrane") for name in REGISTRIES["stems"]]
    specs += [TINY.replace(neuron=name) for name in REGISTRIES["neurons"]]
    specs += [TINY.replace(encoding=name) for name in REGISTRIES["encodings"]]
    kinds = set()

    def holds(tensor, values):
        kinds.add(values.kind)
        whole = tensor.detach() / values.scale
        if values.kind == "binary":
            assert ((whole == 0) | (whole == 1)).all()
        elif values.kind == "integer":
            torch.testing.assert_close(whole, whole.round(), rtol=0, atol=1e-4)

    for spec in specs:
        model = build(spec, INPUTS)
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.affine:
                nn.init.constant_(module.bias, 1.0)
        for way in (shortcuts.without_shortcuts, shortcuts.fusing_qkv):
            with listening(holds), way():
                model(torch.rand(3, 2, 8, 8))
    assert kinds == {"binary", "integer", "real"}


def test_networks_declare_a_value_for_every_neuron_and_residual():
    model = build(TINY, INPUTS)
    declared = []
    with listening(lambda _, values: declared.append(values)):
        model(torch.rand(3, 2, 8, 8))
    neurons = sum(isinstance(module, SpikingNeuron) for module in model.modules())
    assert sum(values.kind == "binary" for values in declared) == neurons
    # position spikes, and two residuals a block; Q K^T or K^T V and the scaled product of each block
    assert sum(values.kind == "integer" for values in declared) == 1 + 2 * 2 + 2 * 2
    assert [values.scale for values in declared if values.scale != 1] == [0.125, 0.125]


def test_module_names_are_scopes():
    names = {name for name, _ in build(TINY, INPUTS).named_modules()}
    assert {"stem", "blocks.0.attention", "blocks.0.mlp", "blocks.1.residual", "head", "encoding"} <= names
    neurons = {name for name, module in build(TINY, INPUTS).named_modules() if isinstance(module, SpikingNeuron)}
    assert {"stem.stages.0.neuron", "stem.position.neuron", "blocks.0.attention.q.neuron", "blocks.0.attention.neuron"} <= neurons
    assert all(name.rpartition(".")[2].endswith("neuron") for name in neurons)


def test_a_users_module_is_a_family(monkeypatch):
    class Tiny(nn.Module):
        def __init__(self, options, spec, inputs):
            super().__init__()
            self.T = spec.T
            self.linear = nn.Linear(inputs.channels * inputs.size**2, inputs.classes)

        def forward(self, x):
            return self.linear((x.mean(0) if x.dim() == 5 else x).flatten(1))

    class Entry:
        module, dist, value = __name__, None, "tiny"

        @staticmethod
        def load():
            return Tiny

    monkeypatch.setattr(REGISTRIES["families"], "_plugins", lambda: {"tiny": Entry})
    model = build(TINY.replace(family="tiny"), INPUTS)
    assert model(torch.rand(3, 2, 8, 8)).shape == (3, 3)
    assert model.loss(torch.rand(3, 2, 8, 8), torch.tensor([0, 1, 2]))[0].requires_grad
    model.T = 5
    assert model.module.T == 5


class Membrane(nn.Module):
    """Somebody's neuron, with a state of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        v = torch.zeros_like(x)
        v = v + (x - v) / 2.0
        return (v > 0.1).to(x.dtype)


class Own(nn.Module):
    neuron_classes = (Membrane,)

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.neuron, self.head = nn.Linear(64, 16), Membrane(), nn.Linear(16, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.neuron(self.layer(x.flatten(1))))


def test_neurons_of_ones_own_are_those_that_the_network_names() -> None:
    torch.manual_seed(0)
    network = ForeignNetwork(Own(), VariantSpec(T=1), InputSpec(1, 8, 3))
    x = torch.rand(2, 1, 8, 8)
    found = count(network, x)
    with torch.no_grad():
        spikes = int((network.module.layer(x.flatten(1)) / 2.0 > 0.1).sum())
    assert [layer.scope for layer in found.neuron_layers] == ["module.neuron"]
    assert found.neuron_layers[0].spikes == spikes
    assert not found.not_counted
