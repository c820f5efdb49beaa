"""Residuals, encodings, heads and neurons against closed forms and SpikingJelly."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import encoding as sj_encoding
from spikingjelly.activation_based import neuron, surrogate
from torch.nn import functional as F

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.kernels.surrogates import resolve
from spikebench.networks.context import Context

INPUTS = InputSpec(2, 8, 3)


def component(field, choice, **fields):
    spec = VariantSpec(dim=16, num_heads=2).replace(**{field: choice, **fields})
    return Context(spec, INPUTS, patch_size=2).make(field)


def make_neuron(name, T=4, v_threshold=None, surrogate="sigmoid", channels=3, **options):
    return REGISTRIES["neurons"].get(name)(
        Choice(name, options).resolve("neurons"), surrogate=resolve(surrogate), channels=channels, T=T, v_threshold=v_threshold
    )


@pytest.mark.parametrize(
    ("name", "truth"),
    [("add", (0, 1, 1, 2)), ("membrane", (0, 1, 1, 2)), ("or", (0, 1, 1, 1)), ("xor", (0, 1, 1, 0))],
)
def test_residuals_are_their_truth_tables(name, truth):
    x, z = torch.tensor([0.0, 0, 1, 1]), torch.tensor([0.0, 1, 0, 1])
    assert component("residual", name)(x, z).tolist() == list(truth)


@pytest.mark.parametrize(
    ("name", "neuron_name", "kind"),
    [
        ("add", "lif", "integer"),
        ("add", "ilif", "integer"),
        ("membrane", "lif", "real"),
        ("xor", "lif", "binary"),
        ("or", "if", "binary"),
    ],
)
def test_residuals_declare_what_flows_on(name, neuron_name, kind):
    assert component("residual", name, neuron=neuron_name).emits.kind == kind


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 8), st.integers(0, 2**31 - 1))
def test_latency_is_spikingjellys_linear_encoder(T, seed):
    grey = torch.rand(2, 1, 3, 3, generator=torch.Generator().manual_seed(seed))
    encoder = sj_encoding.LatencyEncoder(T, enc_function="linear")
    expected = torch.stack([encoder(grey) for _ in range(T)])
    assert torch.equal(component("encoding", {"name": "latency", "rescale": "none"})(grey, T), expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 8), st.integers(0, 2**31 - 1))
def test_phase_carries_the_binary_digits(T, seed):
    grey = torch.rand(2, 1, 3, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    digits = component("encoding", {"name": "phase", "rescale": "none"})(grey, T)
    weights = torch.tensor([2.0 ** -(t + 1) for t in range(T)], dtype=torch.float64).view(T, 1, 1, 1, 1)
    value = (digits * weights).sum(0)
    assert ((value <= grey) & (grey < value + 2.0**-T)).all()


def test_rate_fires_with_the_grey_value_as_probability_and_repeats_in_evaluation():
    encoder = component("encoding", {"name": "rate", "rescale": "none"})
    grey = torch.tensor([0.0, 0.2, 0.7, 1.0]).view(1, 1, 2, 2)
    rates = encoder(grey, 4000).mean(0).flatten()
    assert rates[0] == 0
    assert rates[3] == 1
    # five standard deviations of a mean of 4,000 draws
    assert rates.sub(grey.flatten()).abs().max() < 5 * 0.5 / 4000**0.5
    assert not torch.equal(encoder(grey, 50), encoder(grey, 50))
    encoder.eval()
    assert torch.equal(encoder(grey, 50), encoder(grey, 50))


def test_grey_encodings_stretch_each_image_to_the_whole_range():
    encoder = component("encoding", "phase")
    image = torch.rand(3, 2, 4, 4)
    normalised = (image - 0.4) / 0.25
    assert (
        torch.equal(encoder(image, 3), encoder(normalised, 3)) or (encoder(image, 3) - encoder(normalised, 3)).abs().mean() < 0.02
    )
    assert torch.isfinite(encoder(torch.zeros(1, 2, 4, 4), 3)).all()


@pytest.mark.parametrize("name", ["direct", "repeat", "rate", "latency", "phase"])
def test_sequences_pass_every_encoding(name):
    frames = torch.rand(5, 2, 2, 4, 4)
    assert torch.equal(component("encoding", name)(frames, 3), frames)


@pytest.mark.parametrize("regulariser", [0.0, 0.3])
def test_tet_loss_is_its_formula(regulariser):
    head = component("head", {"name": "tet", "regulariser": regulariser, "target": 0.5})
    steps, y = torch.randn(3, 4, 5, dtype=torch.float64), torch.tensor([0, 1, 2, 3])
    log_p = steps - steps.exp().sum(-1, keepdim=True).log()
    ce = -torch.stack([log_p[t, b, y[b]] for t in range(3) for b in range(4)]).mean()
    expected = (1 - regulariser) * ce + regulariser * ((steps - 0.5) ** 2).mean()
    torch.testing.assert_close(head.loss(steps, y), expected)


def test_mean_head_is_one_linear_layer_of_the_mean_and_the_spiking_head_one_a_step():
    x = torch.randint(0, 2, (4, 2, 16, 9)).float()
    mean = component("head", "mean")
    torch.testing.assert_close(mean(x), mean.linear(x.mean((0, 3)))[None])
    spiking = component("head", "spiking")
    assert spiking(x * 5).shape == (4, 2, 3)
    torch.testing.assert_close(spiking(x * 5), spiking.linear(spiking.neuron((x * 5).mean(3))))


@pytest.mark.parametrize("name", ["mean", "spiking", "tet"])
def test_heads_take_class_probabilities(name):
    head = component("head", name)
    steps = head(torch.randint(0, 2, (4, 2, 16, 9)).float() * 3)
    y = torch.tensor([0, 2])
    torch.testing.assert_close(head.loss(steps, y), head.loss(steps, F.one_hot(y, 3).float()))


SJ_NODES = {
    "lif": lambda: neuron.LIFNode(tau=2.0, surrogate_function=surrogate.Sigmoid(alpha=4.0), detach_reset=True, step_mode="m"),
    "if": lambda: neuron.IFNode(surrogate_function=surrogate.Sigmoid(alpha=4.0), detach_reset=True, step_mode="m"),
    "plif": lambda: neuron.ParametricLIFNode(
        init_tau=2.0, surrogate_function=surrogate.Sigmoid(alpha=4.0), detach_reset=True, step_mode="m"
    ),
    "klif": lambda: neuron.KLIFNode(tau=2.0, surrogate_function=surrogate.Sigmoid(alpha=4.0), detach_reset=True, step_mode="m"),
    "clif": lambda: neuron.ComplementaryLIFNode(tau=2.0, surrogate_function=surrogate.Sigmoid(alpha=4.0), step_mode="m"),
    "psn": lambda: neuron.PSN(4, surrogate_function=surrogate.Sigmoid(alpha=4.0)),
    "ilif": lambda: neuron.ILIFNode(surrogate_function=surrogate.MultiLevelSpikeCount(4), detach_reset=True, step_mode="m"),
}


@pytest.mark.parametrize("name", SJ_NODES)
def test_neurons_fire_and_learn_as_spikingjellys(name):
    ours, theirs = make_neuron(name).double(), SJ_NODES[name]().double()
    given = dict(ours.named_parameters())
    for key, value in theirs.named_parameters():
        value.data.copy_(given[key if key in given else f"node.{key}"].data)
    x = (torch.randn(4, 5, 3, 7, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2).requires_grad_()
    weight = torch.randn(4, 5, 3, 7, dtype=torch.float64)
    spikes = ours(x)
    (got,) = torch.autograd.grad((spikes * weight).sum(), x)
    expected_spikes = theirs(x)
    (expected,) = torch.autograd.grad((expected_spikes * weight).sum(), x)
    assert torch.equal(spikes, expected_spikes)
    torch.testing.assert_close(got, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", sorted(REGISTRIES["neurons"]))
def test_neurons_start_from_rest_at_every_call_and_emit_what_they_declare(name):
    layer = make_neuron(name)
    x = torch.randn(4, 2, 3, 6) * 3
    first = layer(x)
    assert torch.equal(first, layer(x))
    values = set(first.unique().tolist())
    assert values <= ({0.0, 1.0} if layer.emits.kind == "binary" else {0.0, 1.0, 2.0, 3.0, 4.0})
    assert len(values) > 1
    torch.testing.assert_close(layer(torch.cat([x, -x], 1))[:, :2], first)


@pytest.mark.parametrize("name", sorted(REGISTRIES["neurons"]))
def test_a_lower_threshold_fires_more(name):
    x = torch.rand(4, 2, 3, 50)
    torch.manual_seed(0)
    high = make_neuron(name, v_threshold=0.9)
    torch.manual_seed(0)
    low = make_neuron(name, v_threshold=0.1)
    assert low(x).sum() > high(x).sum()


@pytest.mark.parametrize("name", ["klif", "clif", "glif", "psn"])
def test_spikingjellys_neurons_take_our_surrogates(name):
    x = torch.randn(4, 2, 3, 6, dtype=torch.float64, requires_grad=True)
    gradients = []
    for formula in ("sigmoid", "atan"):
        torch.manual_seed(0)
        layer = make_neuron(name, surrogate=formula).double()
        gradients.append(torch.autograd.grad(layer(x).sum(), x)[0])
    assert not torch.equal(*gradients)


def test_options_out_of_range_are_refused():
    for name, options in [("lif", {"tau": 0.5}), ("plif", {"tau": 1.0}), ("ilif", {"levels": 0}), ("glif", {"v_threshold": 1.5})]:
        with pytest.raises(InputError, match=next(iter(options))):
            Choice(name, options).resolve("neurons")
