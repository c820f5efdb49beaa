"""BatchNorm and LIF in one against torch's BatchNorm followed by ``lif``, in float64 and by the ratio rule.

``tests/kernels/lif/test_triton_interpreted.py`` runs this file again under Triton's interpreter, for the fused kernels.
"""

import os
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from spikebench.core.errors import InputError
from spikebench.kernels import _layout
from spikebench.kernels.bn_lif import _api, bn_lif, why_not
from spikebench.kernels.bn_lif._op import bn_lif_op
from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif import lif

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BACKENDS = ["triton"] if INTERPRETED else ["reference", "triton"] if DEVICE == "cuda" else ["reference", "numba"]
FUSED = [name for name in BACKENDS if name != "reference"]
NEURONS: list[dict[str, Any]] = [
    {},
    {"tau": 3.0, "v_reset": None, "decay_input": False, "detach_reset": False, "surrogate": "atan"},
    {"tau": None, "v_threshold": 0.5, "v_reset": -0.2},
]


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """An output element that a kernel leaves out must show."""
    empty_like = _layout.empty_like
    monkeypatch.setattr(_layout, "empty_like", lambda x, dtype: empty_like(x, dtype).fill_(float("nan")))


def innermost(x: Tensor) -> Tensor:
    return x.movedim(2, -1).contiguous().movedim(-1, 2)


def inputs(*shape: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    C = shape[2]
    spread = torch.linspace(0.5, 3, C).reshape(-1, *[1] * (len(shape) - 3))
    return {
        "x": (torch.randn(*shape, generator=generator) * spread + 5 * spread).to(DEVICE, dtype),
        "grad": torch.randn(*shape, generator=generator).to(DEVICE, dtype),
        "weight": (torch.rand(C, generator=generator) + 0.5).to(DEVICE),
        "bias": torch.randn(C, generator=generator).to(DEVICE),
        "mean": (5 * spread.flatten() + 0.1 * torch.randn(C, generator=generator)).to(DEVICE),
        "var": (spread.flatten() ** 2 * (torch.rand(C, generator=generator) + 0.5)).to(DEVICE),
    }


def run(given: dict[str, Tensor], training: bool, backend: str, layout: Any, neuron: dict[str, Any]) -> list[Tensor]:
    """Spikes, then the gradients of x, weight and bias, then the running statistics."""
    leaves = [layout(given["x"]), given["weight"].clone(), given["bias"].clone()]
    x, weight, bias = (leaf.detach().requires_grad_() for leaf in leaves)
    mean, var = given["mean"].clone(), given["var"].clone()
    spikes = bn_lif(x, mean, var, weight, bias, training, 0.2, backend=backend, **neuron)
    spikes.backward(given["grad"])
    assert x.grad is not None
    assert weight.grad is not None
    assert bias.grad is not None
    return [spikes.detach(), x.grad, weight.grad, bias.grad, mean, var]


def double(given: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.double() for name, tensor in given.items()}


@pytest.mark.parametrize("neuron", NEURONS, ids=["usual", "soft", "integrate"])
@pytest.mark.parametrize("layout", [lambda x: x, innermost], ids=["contiguous", "innermost"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("backend", BACKENDS)
def test_equals_batch_norm_then_lif(backend: str, training: bool, layout: Any, neuron: dict[str, Any]) -> None:
    given = inputs(4, 3, 10, 6, 5)
    got = run(given, training, backend, layout, neuron)
    exact = run(double(given), training, "unfused", layout, neuron)
    plain = run(given, training, "unfused", layout, neuron)
    same = got[0] == exact[0]
    assert (~same).float().mean() < 2e-3  # a membrane within rounding of its threshold
    if not same.all():
        pytest.skip("a spike at the threshold flipped: gradients are of another problem")
    for ours, theirs, truth in zip(got[1:], plain[1:], exact[1:], strict=True):
        assert not ours.isnan().any()
        error, allowed = (ours - truth).abs().max(), (theirs - truth).abs().max()
        assert error <= 2 * allowed + 8 * torch.finfo(torch.float32).eps * truth.abs().max()


@pytest.mark.parametrize("neuron", NEURONS, ids=["usual", "soft", "integrate"])
def test_the_reference_is_exact_in_float64(neuron: dict[str, Any]) -> None:
    given = double(inputs(4, 3, 10, 6, 5))
    for training in (True, False):
        for ours, theirs in zip(
            run(given, training, "reference", innermost, neuron),
            run(given, training, "unfused", innermost, neuron),
            strict=True,
        ):
            torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


# ragged in channels and positions, one position, several tiles and several programs a channel; half precision on one each
SHAPES = [(1, 1, 3, 7), (4, 2, 16, 49), (3, 2, 33, 8), (2, 1, 200, 1), (8, 2, 5, 31, 3), (2, 9, 2, 1024)]
CASES = [(shape, torch.float32) for shape in SHAPES] + [(SHAPES[1], torch.bfloat16), (SHAPES[2], torch.float16)]


@pytest.mark.parametrize(("shape", "dtype"), CASES, ids=str)
@pytest.mark.parametrize("layout", [lambda x: x, innermost], ids=["contiguous", "innermost"])
@pytest.mark.parametrize("backend", FUSED)
def test_fused_spikes_are_the_references_to_the_bit(
    backend: str, layout: Any, shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    given = inputs(*shape, dtype=dtype)
    neuron = Dynamics(3.0).encode()
    vectors = (given["weight"], given["bias"], (given["mean"], given["var"].rsqrt()), False)
    ours, theirs = (bn_lif_op(layout(given["x"]), *vectors, name, neuron) for name in (backend, "reference"))
    assert torch.equal(ours, theirs)
    assert ours.stride() == layout(given["x"]).stride()
    mean, var = torch.ops.spikebench.bn_statistics(layout(given["x"]), backend)
    folded = given["x"].double().movedim(2, 0).flatten(1)
    torch.testing.assert_close(mean.double(), folded.mean(1), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(var.double(), folded.var(1, correction=0), rtol=1e-4, atol=1e-5)
    got, expected = (run(given, True, name, layout, {}) for name in (backend, "reference"))
    if torch.equal(got[0], expected[0]):
        for a, b in zip(got[1:], expected[1:], strict=True):
            tolerance = {torch.float32: 2e-5, torch.bfloat16: 2e-2, torch.float16: 2e-3}[dtype]
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance * b.abs().max().item())


@pytest.mark.parametrize("backend", BACKENDS)
def test_fires_at_the_threshold(backend: str) -> None:
    """Quarters, normalised by nothing: membranes meet the threshold exactly."""
    x = (4 * torch.randn(4, 2, 8, 50, generator=torch.Generator().manual_seed(2)) + 3).round().to(DEVICE) / 4
    ones, zeros = torch.ones(8, device=DEVICE), torch.zeros(8, device=DEVICE)
    got = bn_lif_op(x, ones, zeros, (zeros, ones), False, backend, Dynamics().encode())
    assert torch.equal(got, lif(x, backend="reference"))


@pytest.mark.parametrize("backend", FUSED)
def test_variance_does_not_cancel_under_a_large_mean(backend: str) -> None:
    x = 1000 + 0.1 * torch.randn(4, 8, 6, 50, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    _, var = torch.ops.spikebench.bn_statistics(x, backend)
    # E[x^2] - mean^2 in float32 would be off by more than the variance itself.
    torch.testing.assert_close(var.double(), x.double().var((0, 1, 3), correction=0), rtol=1e-3, atol=0)


def test_use_backend_keeps_the_fused_kernel_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_api, "why_not", lambda *_: None)
    neuron = Dynamics().encode()
    cuda = torch.device("cuda")
    monkeypatch.setattr(_api.torch, "empty", lambda *_, **__: None)
    chosen = {default: _api._choose("auto", default, 4, cuda, torch.float32, neuron) for default in ("auto", "triton", "torch")}
    assert chosen == {"auto": "triton", "triton": "triton", "torch": "unfused"}


@pytest.mark.skipif(INTERPRETED, reason="needs no kernel")
def test_auto_is_unfused_where_no_fused_kernel_runs_and_equals_the_two_calls() -> None:
    if DEVICE == "cuda":
        pytest.skip("of a CPU")
    given = double(inputs(4, 3, 10, 6, 5))
    folded = F.batch_norm(given["x"].flatten(0, 1), given["mean"], given["var"], given["weight"], given["bias"])
    expected = lif(folded.unflatten(0, (4, 3)), 3.0)
    got = bn_lif(given["x"], given["mean"], given["var"], given["weight"], given["bias"], tau=3.0)
    assert torch.equal(got, expected)
    for name, says in (("triton", "CUDA"), ("numba", "float32")):
        reason = why_not(name, given["x"])
        assert reason is not None
        assert says in reason
    assert why_not("numba", given["x"].float()) is None


@pytest.mark.skipif(INTERPRETED or DEVICE == "cuda", reason="of a CPU")
@pytest.mark.parametrize("threads", [1, 3])
def test_threads_and_an_image_repeated_over_time(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("spikebench.kernels.lif.numba.GRAIN", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        given = inputs(4, 6, 12, 5, 3)
        given["x"] = given["x"][:1]
        for layout in (lambda x: x.expand(4, -1, -1, -1, -1), lambda x: innermost(x).expand(4, -1, -1, -1, -1)):
            got, expected = (run(given, True, name, layout, {}) for name in ("numba", "reference"))
            assert torch.equal(got[0], expected[0])
            for a, b in zip(got[1:], expected[1:], strict=True):
                torch.testing.assert_close(a, b, rtol=2e-5, atol=2e-5 * b.abs().max().item())
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"x": torch.zeros(4, 3)}, r"needs axes \(T, B, C, ...\)"),
        ({"weight": torch.ones(3)}, r"weight: must be \(5,\) on"),
        ({"x": torch.zeros(1, 1, 5, 1), "training": True}, "no variance to train with"),
        ({"tau": torch.tensor(2.0)}, "a learned tau"),
        ({"tau": 0.5}, "tau: must be a finite number"),
        ({"backend": "fused"}, "unknown backend 'fused'"),
        ({"backend": "triton", "x": torch.zeros(40, 1, 5, 2)}, "at most 32; T is 40"),
    ],
)
def test_bad_input(arguments: dict[str, Any], says: str) -> None:
    given = {"x": torch.zeros(4, 2, 5, 3), "running_mean": torch.zeros(5), "running_var": torch.ones(5), **arguments}
    with pytest.raises(InputError, match=says):
        bn_lif(**given)


@pytest.mark.skipif(INTERPRETED, reason="compiled elsewhere")
def test_the_operator_obeys_torchs_rules_and_compiles() -> None:
    given = inputs(4, 2, 6, 5)
    vectors = [given[name].requires_grad_() for name in ("x", "weight", "bias")]
    arguments = (*vectors, given["mean"], given["var"].rsqrt(), True, "reference", Dynamics().encode())
    torch.library.opcheck(torch.ops.spikebench.bn_lif.default, arguments)
    torch.library.opcheck(torch.ops.spikebench.bn_statistics.default, (given["x"].detach(), "reference"))

    def layer(x: Tensor) -> Tensor:
        return bn_lif(x, None, None, given["weight"], given["bias"], True, backend="reference")

    x = given["x"].detach()
    assert torch.equal(torch.compile(layer, fullgraph=True, backend="aot_eager")(x), layer(x))


@pytest.mark.parametrize("backend", BACKENDS)
def test_only_x_and_vectors_are_saved(backend: str) -> None:
    given = inputs(4, 3, 10, 6, 5)
    saved: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        bn_lif(given["x"].requires_grad_(), None, None, given["weight"], given["bias"], True, backend=backend)
    assert sum(tensor.numel() for tensor in saved) == given["x"].numel() + 4 * 10
