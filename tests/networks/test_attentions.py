"""Each attention against its equation in plain loops, in float64; and against SpikingJelly 2 where it has the same block."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, neuron, surrogate
from spikingjelly.activation_based.layer import attention as sj

from spikebench.core.choice import Choice
from spikebench.core.registry import REGISTRIES
from spikebench.core.values import BINARY, listening
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks import shortcuts
from spikebench.networks.attentions._product import attend
from spikebench.networks.context import Context

T, B, H, D, GRID = 2, 2, 2, 3, 3
N, C = GRID * GRID, H * D
INPUTS = InputSpec(3, GRID * 2, 4)


def make(name, residual="add", **options):
    spec = VariantSpec(dim=C, num_heads=H, T=T, attention=Choice(name, options)).replace(residual=residual)
    torch.manual_seed(0)
    return REGISTRIES["attentions"].get(name)(spec.attention.resolve("attentions"), Context(spec, INPUTS, patch_size=2)).double()


def fire(x, v_threshold=1.0):
    """LIF of tau 2, hard reset to 0, over axis 0, element by element."""
    out = torch.zeros_like(x)
    for index in itertools.product(*map(range, x.shape[1:])):
        v = 0.0
        for t in range(x.shape[0]):
            h = v + (float(x[(t, *index)]) - v) / 2
            s = float(h >= v_threshold)
            out[(t, *index)] = s
            v = 0.0 if s else h
    return out


def project(layer, x, fires=True):
    """Linear and BatchNorm in evaluation mode, channel by channel, and a LIF."""
    weight, norm = layer.linear.weight, layer.norm
    y = torch.einsum("tbcn,dc->tbdn", x, weight)
    if layer.linear.bias is not None:
        y = y + layer.linear.bias.view(1, 1, -1, 1)
    scale = (norm.weight if norm.affine else 1.0) / torch.sqrt(norm.running_var + norm.eps)
    y = (y - norm.running_mean.view(1, 1, -1, 1)) * scale.view(1, 1, -1, 1)
    y = y + (norm.bias.view(1, 1, -1, 1) if norm.affine else 0.0)
    return fire(y) if fires else y


def product(f, g, scale=1.0):
    """scale * f K^T V by loops: f(t, b, h, n, m) is the map's entry, g(t, b, h, m, e) V's."""
    out = torch.zeros(T, B, C, N, dtype=torch.float64)
    for t, b, h, n, e in itertools.product(range(T), range(B), range(H), range(N), range(D)):
        out[t, b, h * D + e, n] = scale * sum(float(f(t, b, h, n, m)) * float(g(t, b, h, m, e)) for m in range(N))
    return out


def dot(q, k, t, b, h, n, m, function=lambda x: x):
    return sum(function(float(q[t, b, h * D + d, n])) * function(float(k[t, b, h * D + d, m])) for d in range(D))


def entry(v):
    return lambda t, b, h, m, e: v[t, b, h * D + e, m]


def dot_map(q, k, function=lambda x: x):
    return lambda t, b, h, n, m: dot(q, k, t, b, h, n, m, function)


def softmax_map(q, k):
    def weight(t, b, h, n, m):
        scores = [math.exp(dot(q, k, t, b, h, n, j) / math.sqrt(D)) for j in range(N)]
        return scores[m] / sum(scores)

    return weight


THRESHOLDS = {"ssa": 0.05, "random_qk": 0.15, "softmax": 0.25, "identity": 0.15, "relu": 0.15, "leaky_relu": 0.15}
"""Of the neuron after the product, where so few tokens would leave the published 0.5 silent."""


def summed_mask(x):
    """(T, B, C) sums over tokens, and the LIF of threshold 0.5 on them."""
    return fire(x.sum(3), 0.5)


def leaky(x):
    return x if x > 0 else 0.01 * x


ORACLES = {
    "ssa": lambda a, q, k, v: fire(product(dot_map(q(), k()), entry(v()), 0.125), a.options.v_threshold),
    "softmax": lambda a, q, k, v: fire(product(softmax_map(q(), k()), entry(v())), a.options.v_threshold),
    "vanilla": lambda a, q, k, v: product(softmax_map(q(False), k(False)), entry(v(False))),
    "identity": lambda a, q, k, v: fire(product(dot_map(q(False), k(False)), entry(v()), 0.125), a.options.v_threshold),
    "relu": lambda a, q, k, v: fire(
        product(dot_map(q(False), k(False), lambda x: max(x, 0.0)), entry(v()), 0.125), a.options.v_threshold
    ),
    "leaky_relu": lambda a, q, k, v: fire(product(dot_map(q(False), k(False), leaky), entry(v()), 0.125), a.options.v_threshold),
    "random_qk": lambda a, q, k, v: fire(product(dot_map(q(), k()), entry(v()), 0.125), a.options.v_threshold),
    "sdsa": lambda a, q, k, v: q() * summed_mask(k() * v()).unsqueeze(3),
    "qk_channel": lambda a, q, k, v: k() * summed_mask(q()).unsqueeze(3),
    "qk_token": lambda a, q, k, v: k() * fire(q().view(T, B, H, D, N).sum(3), 0.5).repeat_interleave(D, dim=2),
}


@pytest.fixture
def tokens():
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 3, (T, B, C, N), generator=generator).double()


@pytest.mark.parametrize("residual", ["add", "membrane"])
@pytest.mark.parametrize("name", ORACLES)
def test_attention_equals_its_equation(name, residual, tokens, lively):
    options = {"v_threshold": THRESHOLDS[name]} if name in THRESHOLDS else {}
    attention = lively(make(name, residual, **options))
    x = tokens * 1.7 if residual == "membrane" else tokens
    with torch.no_grad():
        got = attention(x)
        seen = fire(x) if residual == "membrane" else x
        read = {part: (lambda fires=True, part=part: project(getattr(attention, part), seen, fires)) for part in "qkv"}
        mixed = ORACLES[name](attention, read["q"], read["k"], read["v"])
        expected = project(attention.proj, mixed, residual == "add")
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)
    assert mixed.std() > 0.1, "all alike: the oracle would prove little"


@pytest.mark.parametrize("value", ["spikes", "float"])
def test_what_reaches_the_neuron_of_softmax_is_the_weighted_mean_of_v(value, tokens, lively):
    attention = lively(make("softmax", value=value))
    reached = []
    attention.neuron.register_forward_pre_hook(lambda _, x: reached.append(x[0]))
    with torch.no_grad():
        attention(tokens)
        q, k = (project(getattr(attention, part), tokens) for part in "qk")
        v = project(attention.v, tokens, fires=value == "spikes")
    torch.testing.assert_close(reached[0], product(softmax_map(q, k), entry(v)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("events", [False, True])
def test_statten_lets_the_tokens_of_a_chunk_attend_to_each_other(events, tokens, lively):
    inputs = InputSpec(3, GRID * 2, 4, events=events)
    spec = VariantSpec(dim=C, num_heads=H, T=T, attention=Choice("statten"))
    attention = lively(
        REGISTRIES["attentions"]
        .get("statten")(spec.attention.resolve("attentions"), Context(spec, inputs, patch_size=2))
        .double()
    )
    with torch.no_grad():
        q, k, v = (project(getattr(attention, part), tokens) for part in "qkv")
        mixed = torch.zeros(T, B, C, N, dtype=torch.float64)
        for t, b, h, n, e in itertools.product(range(T), range(B), range(H), range(N), range(D)):
            mixed[t, b, h * D + e, n] = sum(
                float(q[t, b, h * D + d, n] * k[s, b, h * D + d, m] * v[s, b, h * D + e, m])
                for s, m, d in itertools.product(range(T), range(N), range(D))
            ) / (GRID * GRID * 2 if events else GRID)
        expected = project(attention.proj, fire(mixed, 0.5))
        torch.testing.assert_close(attention(tokens), expected, rtol=0, atol=1e-12)


def test_statten_with_chunks_of_one_step_is_ssa(tokens, lively):
    chunked, plain = lively(make("statten", chunk=1, scale=0.125)), lively(make("ssa"))
    plain.load_state_dict(chunked.state_dict())
    with torch.no_grad():
        assert torch.equal(chunked(tokens), plain(tokens))


@pytest.mark.parametrize("residual", ["add", "membrane"])
def test_dssa_equals_its_equation(residual, tokens, lively):
    attention = lively(make("dssa", residual, reduction=3))
    attention.input_rate.rate.fill_(0.3), attention.input_rate.started.fill_(True)
    attention.map_rate.rate.fill_(0.2), attention.map_rate.started.fill_(True)
    x = tokens * 1.7 if residual == "membrane" else tokens
    with torch.no_grad():
        seen = fire(x) if residual == "membrane" else x
        folded = torch.nn.functional.conv2d(seen.reshape(T * B, C, GRID, GRID), attention.conv.weight, stride=3)
        norm = attention.norm
        y = (folded - norm.running_mean.view(-1, 1, 1)) / torch.sqrt(norm.running_var + norm.eps).view(-1, 1, 1)
        y = (y * norm.weight.view(-1, 1, 1) + norm.bias.view(-1, 1, 1)).view(T, B, 2 * C, 1)
        mixed = torch.zeros(T, B, C, N, dtype=torch.float64)
        for h in range(H):
            rows = slice(h * D, (h + 1) * D)
            scores = torch.einsum("tbdm,tbdn->tbmn", y[:, :, :C][:, :, rows], seen[:, :, rows]) / math.sqrt(0.3 * D)
            mixed[:, :, rows] = torch.einsum("tbdm,tbmn->tbdn", y[:, :, C:][:, :, rows], fire(scores)) / math.sqrt(0.2 * 1)
        expected = project(attention.proj, fire(mixed), residual == "add")
        torch.testing.assert_close(attention(x), expected, rtol=0, atol=1e-12)


def test_dssa_tracks_firing_rates_in_training_alone(tokens):
    attention = make("dssa").train()
    attention(tokens)
    assert float(attention.input_rate.rate) == pytest.approx(float(tokens.mean()))
    attention(tokens * 0)
    assert float(attention.input_rate.rate) == pytest.approx(0.999 * float(tokens.mean()))
    attention.eval()
    attention(tokens * 5)
    assert float(attention.input_rate.rate) == pytest.approx(0.999 * float(tokens.mean()))


def test_random_qk_leaves_q_and_k_as_they_were_drawn(tokens):
    attention = make("random_qk")
    assert not any(name.startswith(("q.", "k.")) for name, _ in attention.named_parameters())
    other = make("random_qk")
    torch.manual_seed(9)
    other.load_state_dict(attention.state_dict())
    attention.eval(), other.eval()
    assert torch.equal(attention(tokens), other(tokens))


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 24), st.floats(0, 1), st.integers(0, 2**31 - 1))
def test_both_orders_are_bit_equal_on_spikes_in_float32(tokens, d, rate, seed):
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.rand(2, 1, 2, tokens, d, generator=generator) < rate for _ in range(3))
    q, k, v = q.float(), k.float(), v.float()
    assert torch.equal(attend(q, k, v, "qk_first", BINARY), attend(q, k, v, "kv_first", BINARY))


@pytest.mark.parametrize("published", ["qk_first", "kv_first"])
@pytest.mark.parametrize(("heads", "cheaper"), [(1, "qk_first"), (8, "kv_first")])
def test_auto_runs_the_cheaper_order_and_counts_the_published_one(published, heads, cheaper):
    spec = VariantSpec(dim=32, num_heads=heads, T=1)
    options = Choice("ssa", {"published_order": published}).resolve("attentions")
    attention = REGISTRIES["attentions"].get("ssa")(options, Context(spec, InputSpec(3, 16, 2), patch_size=4))
    x = torch.randint(0, 2, (1, 1, 32, 16)).float()

    def order():
        shapes = []
        with listening(lambda tensor, values: shapes.append(tensor.shape)):
            attention(x)
        return "qk_first" if (1, 1, heads, 16, 16) in shapes else "kv_first"

    assert order() == cheaper
    with shortcuts.without_shortcuts():
        assert order() == published


@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("ssa", lambda: sj.SpikingSelfAttention(C, H)),
        ("qk_token", lambda: sj.QKAttention(C, H, "token")),
        ("qk_channel", lambda: sj.QKAttention(C, H, "channel")),
    ],
)
def test_attention_equals_spikingjellys(name, theirs, tokens, lively):
    """SpikingJelly fuses the projections and has no bias in the last one."""
    torch.manual_seed(1)
    theirs = lively(theirs().double())
    ours = make(name).eval()
    parts = list(ours.inputs)
    conv, norm = getattr(theirs, "qkv_conv_bn" if len(parts) == 3 else "qk_conv_bn")
    with torch.no_grad():
        for i, part in enumerate(parts):
            rows = slice(i * C, (i + 1) * C)
            layer = getattr(ours, part)
            layer.linear.weight.copy_(conv.weight[rows, :, 0])
            for key in ("weight", "bias", "running_mean", "running_var"):
                getattr(layer.norm, key).copy_(getattr(norm, key)[rows])
        ours.proj.linear.weight.copy_(theirs.proj_conv_bn[0].weight[:, :, 0])
        ours.proj.norm.load_state_dict(theirs.proj_conv_bn[1].state_dict())
        functional.reset_net(theirs)
        assert torch.equal(ours(tokens), theirs(tokens))


def test_sdsa_with_its_membrane_shortcut_equals_spikingjellys(tokens, lively):
    torch.manual_seed(1)
    theirs = lively(sj.SpikeDrivenSelfAttention(C, H).double())
    ours = make("sdsa", "membrane").eval()
    with torch.no_grad():
        for part in ("q", "k", "v", "proj"):
            layer, conv, norm = getattr(ours, part), getattr(theirs, f"{part}_conv"), getattr(theirs, f"{part}_bn")
            layer.linear.weight.copy_(conv.weight[:, :, 0, 0])
            for key in ("weight", "bias", "running_mean", "running_var"):
                getattr(layer.norm, key).copy_(getattr(norm, key))
        ours.proj.linear.bias.copy_(theirs.proj_conv.bias)
        x = tokens * 1.7
        functional.reset_net(theirs)
        expected = theirs(x.view(T, B, C, GRID, GRID)).flatten(3)
        torch.testing.assert_close(x + ours(x), expected, rtol=0, atol=1e-12)
        assert (expected - x).std(3).mean() > 0.05


def test_fire_of_these_tests_is_spikingjellys_lif():
    x = torch.randn(6, 3, 4, dtype=torch.float64) * 2
    node = neuron.LIFNode(tau=2.0, surrogate_function=surrogate.Sigmoid(alpha=4.0), step_mode="m")
    assert torch.equal(fire(x), node(x))
