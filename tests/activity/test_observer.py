"""What the observed pass sees in any module: kinds of values, neurons, modes, and what it says it could not see."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.attention.flex_attention import flex_attention

import spikebench
from spikebench.activity import ActivityObserver, WrongDeclarationError, count
from spikebench.core.values import BINARY, INTEGER, Values, declare
from spikebench.core.variant import InputSpec
from spikebench.networks.neurons import SpikingNeuron

DIGITS = InputSpec(channels=1, size=8, classes=10)


class Function(nn.Module):
    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, *args: Tensor) -> Tensor:
        return self.function(*args)  # type: ignore[operator]


class Threshold(SpikingNeuron):
    """Spikes where the input is positive; what it does inside must not be counted."""

    def __init__(self, emits: Values = BINARY, scale: float = 1.0) -> None:
        super().__init__()
        self.emits, self.scale = emits, scale

    def fire(self, x: Tensor) -> Tensor:
        _ = x.flatten(2) @ torch.ones(x[0, 0].numel(), 3)
        return (x > 0).float() * self.scale


def lively(model: nn.Module, x: Tensor) -> nn.Module:
    """Calibrate BatchNorm on x, since a network of fresh weights is silent."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
            nn.init.constant_(module.bias, 0.4)
    with torch.no_grad():
        model.train()(x)
    return model.eval()


@pytest.fixture(scope="module", params=["ssa", "softmax"])
def network(request: pytest.FixtureRequest) -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    x = torch.rand(64, 1, 8, 8)
    return lively(spikebench.build("spikformer-2-64", DIGITS, attention=request.param), x), x


COUNTS = ["scope", "operation", "input", "dense_macs", "dense_macs_inside", "events", "events_left", "events_right", "unit_acs"]


# the same counts however it is run


def test_counts_do_not_depend_on_the_batch_size(network: tuple[nn.Module, Tensor]) -> None:
    model, x = network
    tables, by_sample, rates = [], [], []
    for size in (1, 7, 64):
        with torch.no_grad(), ActivityObserver(model) as observer:
            for batch in x.split(size):
                model(batch)
        analysis = observer.analysis
        assert analysis.samples == 64
        tables.append(analysis.to_pandas()[[*COUNTS, "nonzero_fraction", "mean_value", "maximum", "other_ops"]])
        by_sample.append({name: analysis.by_sample(name) for name in ("events", "unit_acs")})
        rates.append(analysis.neurons().drop(columns=["bytes_read", "bytes_written"]))
    assert tables[0].events.sum() > 10**6
    for other in (1, 2):
        assert tables[0][COUNTS].equals(tables[other][COUNTS])
        assert by_sample[0] == by_sample[other]
        assert rates[0].equals(rates[other])
    assert sum(by_sample[0]["events"]) == tables[0].events.sum()
    assert sum(by_sample[0]["unit_acs"]) == tables[0].unit_acs.sum()


@pytest.mark.parametrize("mode", ["no_grad", "inference_mode", "enable_grad"])
def test_counts_do_not_depend_on_the_grad_mode(network: tuple[nn.Module, Tensor], mode: str) -> None:
    model, x = network
    expected = count(model, x[:4]).to_pandas()[COUNTS]
    with getattr(torch, mode)():
        assert count(model, x[:4]).to_pandas()[COUNTS].equals(expected)
        with ActivityObserver(model) as observer:
            model(x[:4])
    assert observer.analysis.to_pandas()[COUNTS].equals(expected)


def test_counts_do_not_depend_on_the_backend(network: tuple[nn.Module, Tensor]) -> None:
    from spikebench.kernels.lif import use_backend

    model, x = network
    found = []
    for backend in ("reference", "torch", "numba"):
        with use_backend(backend):
            found.append(count(model, x[:4]))
    for other in found[1:]:
        assert other.to_pandas().equals(found[0].to_pandas())
        assert other.neurons().equals(found[0].neurons())


def test_training_mode_changes_nothing_in_the_model() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    found = count(model, torch.rand(2, 1, 5, 5))
    assert found.total("dense") == 2 * 2 * 9 * 9
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_no_autograd_graph_and_no_hook_stay() -> None:
    model = nn.Linear(3, 3)
    count(model, torch.rand(2, 3))
    assert not model._forward_hooks
    assert not model._forward_pre_hooks
    with pytest.raises(RuntimeError):
        count(model, torch.rand(2, 4))
    assert not model._forward_hooks
    assert model(torch.rand(2, 3)).requires_grad


def test_the_loops_of_the_cpu_and_torch_s_own_operators_agree(
    network: tuple[nn.Module, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other devices and number formats go through torch's operators; here the CPU is made to."""
    from spikebench.activity import loops

    model, x = network
    fast = count(model, x[:5])
    monkeypatch.setattr(loops, "fits", lambda x: False)
    slow = count(model, x[:5])
    assert fast.to_pandas().equals(slow.to_pandas())
    assert fast.neurons().equals(slow.neurons())
    assert fast.by_sample("unit_acs") == slow.by_sample("unit_acs")


def test_half_precision_counts_in_whole_numbers() -> None:
    x = (torch.rand(2, 3000) < 0.9).to(torch.bfloat16)
    found = count(nn.Linear(3000, 5, bias=False).to(torch.bfloat16), x)
    assert found.total("events") == int(x.float().sum()) * 5


# kinds


def filled(first: Tensor, second: Tensor) -> Tensor:
    """Written step by step into one buffer."""
    buffer = torch.zeros(2, *first.shape[1:])
    buffer[0], buffer[1] = first[0], second[1]
    return buffer


def kinds(function: object, *inputs: Tensor) -> list[str]:
    return [f"{site.input} {site.known_by}" for site in count(Function(function), inputs).sites if site.synaptic]


W = nn.Parameter(torch.randn(4, 4))
SPIKES = (torch.rand(2, 4, 4) < 0.5).float()


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (lambda s: s, "binary declared"),
        (lambda s: s.permute(0, 2, 1).reshape(2, 4, 4)[:, :, :], "binary declared"),
        (lambda s: s.transpose(1, 2).contiguous(), "binary declared"),
        (lambda s: F.max_pool2d(s.unsqueeze(0), 3, 1, 1)[0], "binary declared"),
        (lambda s: torch.cat([s, s], 1)[:, 2:6], "binary declared"),
        (lambda s: torch.stack([s, s])[1], "binary declared"),
        (lambda s: s.index_select(1, torch.tensor([3, 2, 1, 0])), "binary declared"),
        (lambda s: F.pad(s, (1, 1))[..., 1:5], "binary declared"),
        (lambda s: s * s, "binary declared"),
        (lambda s: s * 0.125, "binary declared"),
        (lambda s: s / 3, "binary declared"),
        (lambda s: s.relu(), "binary declared"),
        (lambda s: (s > 0.5).float(), "binary declared"),
        (lambda s: torch.zeros(2, 4, 4).copy_(s), "binary declared"),
        (lambda s: s + s, "integer declared"),
        (lambda s: s - s.flip(0), "integer declared"),
        (lambda s: s @ s.transpose(1, 2), "integer declared"),
        (lambda s: s.sum(1, keepdim=True).expand(2, 4, 4), "integer declared"),
        (lambda s: torch.cat([s, s + s], 1)[:, 4:], "integer declared"),
        (lambda s: s.add_(s), "integer declared"),
        (lambda s: s.mean(1, keepdim=True).expand(2, 4, 4), "real observed"),
        (lambda s: s + 0.5, "real observed"),
        (lambda s: s + s * 0.25, "real observed"),
        (lambda s: F.pad(s, (1, 1), value=0.5)[..., 1:5], "binary observed"),
        (lambda s: filled(s, s), "binary declared"),
        (lambda s: filled(s + s, s), "integer declared"),
        (lambda s: s @ W, "real observed"),
    ],
)
def test_declared_kinds_follow_the_values(step: object, expected: str) -> None:
    last = kinds(lambda s: step(declare(s.clone(), BINARY)) @ W, SPIKES)[-1]  # type: ignore[operator]
    assert last == expected


def test_a_declared_scale_is_taken_out_of_unit_counts() -> None:
    """SSA's 0.125 Q K^T V, and 1/sqrt(d), which leaves a rounding error."""
    for scale in (0.125, 12**-0.5):
        counts = torch.randint(0, 9, (2, 3, 4)).float()
        site = count(Function(lambda x, s=scale: declare(x * s, Values("integer", s)) @ W), counts).sites[-1]
        assert site.input == "integer"
        assert site.unit_acs == int(counts.sum()) * 4


def test_a_wrong_declaration_is_an_error_that_says_where() -> None:
    def model(x: Tensor, values: Values) -> nn.Module:
        return nn.ModuleDict({"inner": Function(lambda x: declare(x.clone(), values) @ W)})["inner"]

    for values, wrong in [(BINARY, 2.0), (BINARY, 0.5), (BINARY, -1.0), (INTEGER, 0.5), (Values("integer", 0.125), 0.3)]:
        with pytest.raises(WrongDeclarationError, match=f"declared {values.kind}"):
            count(model(SPIKES, values), torch.full((2, 4, 4), wrong))


def test_every_input_of_our_networks_but_images_and_means_is_declared(network: tuple[nn.Module, Tensor]) -> None:
    model, x = network
    for site in count(model, x[:2]).sites:
        if site.synaptic and "real" not in site.input:
            assert site.known_by == "declared", site


def test_observed_kind_holds_over_all_batches() -> None:
    model = nn.Linear(3, 1)
    with ActivityObserver(model) as observer:
        for value in (1.0, 3.0, 0.5):
            model(torch.full((1, 3), value))
        sites = observer.analysis.sites
    assert [(site.input, site.unit_acs, site.calls) for site in sites] == [("real", None, 3)]


def test_sums_of_large_counts_are_exact() -> None:
    x = torch.full((1, 63), 2.0**20 + 1)  # an odd sum above 2**24, which float32 cannot hold
    site = count(Function(lambda x: declare(x.clone(), INTEGER) @ torch.ones(63, 1)), x).sites[-1]
    assert site.unit_acs == 63 * (2**20 + 1)


def test_a_tensor_that_changes_between_its_readers_is_measured_again() -> None:
    def model(x: Tensor) -> Tensor:
        x = declare(x.clone(), BINARY)
        first = x @ W
        x.copy_(declare((x >= 0).float(), BINARY))
        return first + x @ W

    linears = [site.events for site in count(Function(model), SPIKES).sites if site.operation == "linear"]
    assert linears == [int(SPIKES.sum()) * 4, SPIKES.numel() * 4]


# neurons


def test_what_happens_inside_a_neuron_belongs_to_the_neuron() -> None:
    model = nn.Sequential(Threshold(), nn.Flatten(2), nn.Linear(6, 2))
    x = torch.randn(4, 3, 2, 3)
    found = count(model, x, T=4, samples=3)
    assert [site.operation for site in found.sites] == ["linear"]
    (layer,) = found.neuron_layers
    fired = x > 0
    assert (layer.neurons, layer.time_steps, layer.samples) == (6, 4, 3)
    assert layer.spikes == int(fired.sum())
    assert layer.firing_rate == pytest.approx(fired.float().mean().item())
    assert layer.firing_rate_by_step == pytest.approx(fired.float().mean((1, 2, 3)).tolist())
    assert layer.membrane_updates == x.numel()
    assert layer.dead_fraction == pytest.approx((~fired).all(0).all(0).float().mean().item())
    assert layer.saturated_fraction == pytest.approx(fired.all(0).all(0).float().mean().item())
    assert found.spikes_by_sample() == fired.sum((0, 2, 3)).tolist()


class Reader(nn.Module):
    """Neurons q and k, and what ``read`` makes of their spikes."""

    def __init__(self, read: object) -> None:
        super().__init__()
        self.q, self.k, self.read = Threshold(), Threshold(), read

    def forward(self, q: Tensor, k: Tensor) -> Tensor:
        return self.read(self.q(q), self.k(k))  # type: ignore[operator]


@pytest.mark.parametrize("chained", [False, True])
def test_products_of_spikes_are_counted_from_their_result(chained: bool) -> None:
    """n = 5, k = 3, m = 7: spikes that neurons were seen to fire are not read again for their product."""
    torch.manual_seed(0)
    q, k = torch.randn(2, 4, 5, 3), torch.randn(2, 4, 3, 7)
    read = (lambda q, k: (q @ k) @ k.transpose(-1, -2)) if chained else (lambda q, k: q @ k)
    found = count(Reader(read), (q, k), T=2, samples=4)
    site = found.sites[0]
    fired = [(x > 0).double() for x in (q, k)]
    together = (fired[0].unsqueeze(-1) * fired[1].unsqueeze(-3)).sum()
    assert site.input == "binary x binary"
    assert (site.events, site.unit_acs) == (int(together), int(together))
    assert (site.events_left, site.events_right) == (int(fired[0].sum()) * 7, int(fired[1].sum()) * 5)
    if chained:
        second, scores = found.sites[1], fired[0] @ fired[1]
        assert second.unit_acs == int((scores @ fired[1].transpose(-1, -2)).sum())
        assert second.events == int(((scores != 0).double() @ fired[1].transpose(-1, -2)).sum())


def test_a_layer_that_reads_some_of_a_neuron_s_spikes_counts_these() -> None:
    torch.manual_seed(0)
    q = torch.randn(2, 4, 6, 4)
    for part in (lambda q: q[:, :, :3], lambda q: q[:, :, :3].clone(), lambda q: torch.cat([q, q], 2), lambda q: q.flip(0)):
        site = count(Reader(lambda q, k, part=part: part(q) @ W), (q, q), T=2, samples=4).sites[-1]
        assert site.operation == "linear"
        assert site.events == int(part(q > 0).sum()) * 4


def test_dead_and_saturated_are_judged_over_all_batches() -> None:
    model = nn.Sequential(Threshold())
    a, b = torch.tensor([[[1.0, -1, 1, -1]]]), torch.tensor([[[1.0, -1, -1, 1]]])
    with ActivityObserver(model, T=1, samples=1) as observer:
        model(a)
        model(b)
    (layer,) = observer.analysis.neuron_layers
    assert (layer.dead_fraction, layer.saturated_fraction) == (0.25, 0.25)


def test_neurons_of_ones_own_class_and_single_steps() -> None:
    class Mine(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x > 0).float()

    class Unrolled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer, self.fire = nn.Linear(3, 2), Mine()

        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([self.fire(self.layer(x * t)) for t in range(3)]).mean(0)

    torch.manual_seed(0)
    found = count(Unrolled(), torch.randn(5, 3), neurons=(Mine,))
    (layer,) = found.neuron_layers
    assert (layer.time_steps, layer.neurons, len(layer.firing_rate_by_step), layer.emits, layer.known_by) == (
        3,
        2,
        3,
        "binary",
        "observed",
    )
    (linear,) = [site for site in found.sites if site.synaptic]
    assert (linear.calls, linear.dense_macs) == (3, 3 * 5 * 6)


@pytest.mark.parametrize("step_mode", ["s", "m"])
def test_spikingjelly_networks(step_mode: str) -> None:
    from spikingjelly.activation_based import functional, layer, neuron

    torch.manual_seed(0)
    model = nn.Sequential(layer.Linear(4, 6), neuron.IFNode(v_threshold=0.3), layer.Linear(6, 2), neuron.LIFNode())
    functional.set_step_mode(model, step_mode)
    x = torch.rand(3, 5, 4)

    class Steps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, x: Tensor) -> Tensor:
            return model(x) if step_mode == "m" else torch.stack([model(step) for step in x])

    found = count(Steps(), x, samples=5)
    again = count(Steps(), x, samples=5)
    functional.reset_net(model)
    with torch.no_grad():
        functional.set_step_mode(model, "m")
        spikes = model[1](model[0](x))
        functional.reset_net(model)
    first, last = found.neuron_layers
    assert first.spikes == int(spikes.sum()) > 0
    assert first.firing_rate_by_step == pytest.approx(spikes.mean((1, 2)).tolist())
    assert [site.dense_macs for site in found.sites if site.synaptic] == [15 * 24, 15 * 12]
    assert found.by_sample("events") == again.by_sample("events")
    assert [site.events for site in found.sites if site.synaptic][1] == int(spikes.sum()) * 2
    assert found.spikes_by_sample(first.scope) == spikes.sum((0, 2)).int().tolist()
    assert last.known_by == "observed"


# what cannot be counted


class Hidden(torch.autograd.Function):
    """Leaves PyTorch for NumPy."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return torch.from_numpy(np.maximum(x.numpy() @ np.ones((4, 4), np.float32), 0))

    @staticmethod
    def backward(ctx: object, g: Tensor) -> Tensor:
        return g


class OwnKernel(torch.autograd.Function):
    """Allocates with PyTorch, writes with something else, as Triton and numba kernels do."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        out = torch.empty_like(x)
        np.copyto(out.numpy(), x.numpy() * 2)
        return out

    @staticmethod
    def backward(ctx: object, g: Tensor) -> Tensor:
        return g


class Open(torch.autograd.Function):
    """Written in PyTorch's operators: nothing is hidden."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x @ torch.ones(4, 4)

    @staticmethod
    def backward(ctx: object, g: Tensor) -> Tensor:
        return g


@pytest.mark.parametrize(
    ("function", "word"),
    [
        (Hidden.apply, "outside PyTorch"),
        (OwnKernel.apply, "outside PyTorch"),
        (lambda x: OwnKernel.apply(x) + 1, "no PyTorch operator wrote"),
        (lambda x: torch.fft.fft(x).real, "no rule"),
        (lambda x: torch.linalg.solve(torch.eye(4), x), "no rule"),
        (lambda x: torch.cdist(x, x), "no rule"),
        (lambda x: torch.cond(x.sum() > 0, torch.sin, torch.cos, (x,)), "takes functions"),
        (lambda x: flex_attention(*[x.expand(1, 1, 4, 4).contiguous()] * 3)[0, 0], "takes functions"),
    ],
)
def test_what_cannot_be_counted_is_listed_with_its_scope(function: object, word: str) -> None:
    model = nn.Sequential(nn.Identity(), nn.Sequential(nn.Linear(4, 4), Function(function)), nn.Linear(4, 4))
    found = count(model, torch.rand(4, 4))
    assert {missing.scope for missing in found.not_counted} == {"1.1"}
    assert any(word in missing.reason for missing in found.not_counted), found.not_counted
    assert found.total("dense") == 2 * 64


def test_a_custom_function_made_of_operators_is_counted() -> None:
    found = count(Function(Open.apply), torch.rand(4, 4))
    assert found.not_counted == ()
    assert found.total("dense") == 64


def test_compiled_and_traced_blocks_are_counted_as_their_definition() -> None:
    inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    expected = count(nn.Sequential(inner, nn.Linear(4, 2)), torch.rand(3, 4))
    for block in (torch.compile(inner, backend="eager"), torch.jit.trace(inner, torch.rand(3, 4))):
        model = nn.Sequential(block, nn.Linear(4, 2))
        model(torch.rand(3, 4))  # compiled before it is counted
        found = count(model, torch.rand(3, 4))
        assert found.not_counted == ()
        assert found.total("dense") == expected.total("dense") == 3 * (16 + 8)
    whole = count(torch.compile(inner, backend="eager"), torch.rand(3, 4))
    assert whole.sites[0].scope == "0"


def test_fused_attention_layers_are_seen_into() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True).eval()
    found = count(layer, torch.rand(2, 5, 8))
    assert found.not_counted == ()
    assert found.total("dense") == 2 * 5 * (4 * 64 + 2 * 8 * 16) + 2 * 2 * 2 * 5 * 5 * 4


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
@pytest.mark.parametrize("mode", ["no_grad", "inference_mode", "enable_grad"])
def test_recurrent_layers(kind: type[nn.RNNBase], gates: int, mode: str) -> None:
    flags = torch.backends.mkldnn.enabled
    with getattr(torch, mode)():
        found = count(kind(4, 3).eval(), torch.rand(5, 2, 4))
    assert found.not_counted == ()
    assert found.total("dense", products="none") == 5 * 2 * gates * (4 * 3 + 3 * 3)
    assert torch.backends.mkldnn.enabled == flags


# everything else


def test_other_operations_by_kind() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.bn, self.pool = nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.MaxPool2d(2)
            self.fire = Threshold()

        def forward(self, x: Tensor) -> Tensor:
            y = self.bn(self.conv(x))
            return self.pool(self.fire(y.unsqueeze(0))[0] + y).mean((2, 3))

    found = count(Net().eval(), torch.rand(1, 1, 4, 4))
    assert found.other_ops() == {
        "bias": 32,
        "batch_norm": 64,
        "residual": 32,
        "pooling": 2 * 4 * 4,
        "reduction": 8,
        "membrane": 32,
    }
    assert found.total("events") == found.by_scope()["conv"]["events"] == found.by_scope()[""]["events"]


def test_bytes_and_elements() -> None:
    (site,) = count(nn.Linear(3, 5), torch.rand(2, 3)).sites
    assert (site.input_elements, site.weight_elements, site.output_elements) == (6, 15 + 5, 10)
    assert (site.bytes_read, site.bytes_written) == (4 * (6 + 2 * (15 + 5)), 40)


def test_scopes_add_up(network: tuple[nn.Module, Tensor]) -> None:
    model, x = network
    found = count(model, x[:2])
    table, by_scope = found.to_pandas(), found.by_scope()
    for column in ("dense_macs", "events", "unit_acs", "other_ops"):
        assert by_scope[""][column] == table[column].sum() > 0
        inside = table[table.scope.str.startswith("blocks.1.")][column].sum()
        assert by_scope["blocks.1"][column] == inside > 0
    assert set(found.by_scope(depth=1)) == {"", *(scope.split(".")[0] for scope in table.scope)}


def test_weights_on_the_left_are_a_linear_layer_too() -> None:
    found = count(Function(lambda x: W @ x), SPIKES)
    (site,) = found.sites
    assert (site.operation, site.events) == ("linear", int(SPIKES.sum()) * 4)
    assert found.by_sample("events") == [int(sample.sum()) * 4 for sample in SPIKES]


@pytest.mark.parametrize("training", [False, True])
def test_a_copy_into_another_memory_order_is_followed_in_inference_mode(training: bool) -> None:
    class Reordered(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x).contiguous(memory_format=torch.channels_last)

    model, x = Reordered().train(training), torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        found = count(model, x)
    assert found.not_counted == ()
    assert found.total() == count(model, x).total()
