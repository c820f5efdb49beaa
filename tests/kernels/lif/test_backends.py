"""Every backend against the reference: spikes to the bit, gradients by the ratio rule, in every layout and at every
awkward size.

The rule: a backend's error is at most twice that of plain torch in the same dtype, both against float64. Outputs are
poisoned with NaN before a backend fills them. Triton's kernels run here where a GPU is; elsewhere
``test_triton_interpreted`` runs this file again under Triton's interpreter.
"""

import itertools
import os

import pytest
import torch
from torch import Tensor

from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.kernels import _layout
from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif import explain, lif
from spikebench.kernels.lif._choice import get
from spikebench.kernels.lif.reference import gradients
from spikebench.kernels.surrogates import resolve

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
BACKENDS = ["triton"] if INTERPRETED else ["numba", "torch", *(["triton"] if DEVICE == "cuda" else [])]
TAUS = (2.0, 3.0, 1.0, None)
RESETS = (0.0, None, -0.3)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    reason = explain(torch.zeros(1, 1, device=DEVICE))[request.param]
    if reason is not None and not (request.param == "numba" and DEVICE == "cuda"):
        pytest.skip(reason)
    return request.param


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """An output element that a kernel leaves out must show."""
    empty_like = _layout.empty_like

    def poison(x: Tensor, dtype: torch.dtype) -> Tensor:
        out = empty_like(x, dtype)
        return out.fill_(float("nan") if dtype.is_floating_point else 77)

    monkeypatch.setattr(_layout, "empty_like", poison)


def device_of(backend: str) -> str:
    return "cpu" if backend == "numba" else DEVICE


def currents(*shape: int, seed: int = 0) -> Tensor:
    """Half of them multiples of 1/4, so that with tau 2 the membrane meets the threshold exactly."""
    generator = torch.Generator().manual_seed(seed)
    x = 1.5 * torch.randn(*shape, generator=generator) + 0.5
    return torch.where(torch.rand(*shape, generator=generator) < 0.5, (4 * x).round() / 4, x)


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("decay_input", [True, False])
@pytest.mark.parametrize("v_reset", RESETS)
@pytest.mark.parametrize("tau", TAUS)
def test_every_neuron(backend: str, tau: float | None, v_reset: float | None, decay_input: bool, detach: bool) -> None:
    check(backend, torch.float32, tau, v_reset, decay_input, detach)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("setting", [(2.0, 0.0, True, True), (3.0, None, False, False)])
def test_every_dtype(backend: str, dtype: torch.dtype, setting: tuple[float, float | None, bool, bool]) -> None:
    reason = get(backend).why_not(torch.zeros(1, 1, dtype=dtype, device=device_of(backend)), Dynamics())
    if reason is None:
        check(backend, dtype, *setting)
    else:
        assert dtype == torch.float64
        with pytest.raises(InputError, match="float64"):
            check(backend, dtype, *setting)


def check(backend: str, dtype: torch.dtype, tau: float | None, v_reset: float | None, decay_input: bool, detach: bool) -> None:
    x, grad = (currents(4, 700, seed=seed).to(device_of(backend), dtype) for seed in (0, 1))
    y = x.clone().requires_grad_()
    spikes = lif(y, tau, 1.0, v_reset, decay_input, detach, backend=backend)
    assert spikes.dtype == dtype
    assert torch.equal(spikes, lif(x, tau, 1.0, v_reset, decay_input, detach, backend="reference"))
    spikes.backward(grad)
    assert_ratio(y.grad, x, grad, Dynamics(tau, 1.0, v_reset, decay_input, detach))


@pytest.mark.parametrize("surrogate", REGISTRIES["surrogates"].names())
def test_every_surrogate(backend: str, surrogate: str) -> None:
    x, grad = (currents(3, 500, seed=seed).to(device_of(backend)) for seed in (2, 3))
    formula = resolve({"name": surrogate, "alpha": 1.7})
    y = x.clone().requires_grad_()
    lif(y, 2.5, surrogate=formula, backend=backend).backward(grad)
    assert_ratio(y.grad, x, grad, Dynamics(2.5, surrogate=formula))


def assert_ratio(got: Tensor | None, x: Tensor, grad: Tensor, dynamics: Dynamics) -> None:
    assert got is not None
    exact, _ = gradients(x.double(), grad.double(), dynamics, dynamics.tau)
    plain = gradients(x, grad, dynamics, dynamics.tau)[0].to(x.dtype)
    error, allowed = (got - exact).abs().max(), (plain - exact).abs().max()
    assert not got.isnan().any()
    floor = 4 * torch.finfo(torch.float32).eps * exact.abs().max()  # plain torch may happen to be exact
    # The interpreter truncates to bfloat16 where the hardware rounds (test_triton_compiled sees the rounding instruction).
    times = 4 if INTERPRETED and x.dtype == torch.bfloat16 else 2
    assert error <= times * allowed + floor, f"error {error:.2e}, plain torch's {allowed:.2e}"


@pytest.mark.parametrize("T", [1, 2, 3, 8, 33])
@pytest.mark.parametrize("M", [1, 7, 63, 1025, 4099])
def test_ragged_sizes(backend: str, T: int, M: int) -> None:
    if INTERPRETED and T * M > 40_000:
        pytest.skip("the interpreter is slow")
    x, grad = (currents(T, M, seed=seed).to(device_of(backend)) for seed in (4, 5))
    y = x.clone().requires_grad_()
    spikes = lif(y, backend=backend)
    assert torch.equal(spikes, lif(x, backend="reference"))
    spikes.backward(grad)
    assert_ratio(y.grad, x, grad, Dynamics())


LAYOUTS = {
    "contiguous": lambda x: x,
    "channels-last": lambda x: x.permute(0, 1, 3, 4, 2).contiguous().permute(0, 1, 4, 2, 3),
    "time inside": lambda x: x.movedim(0, -1).contiguous().movedim(-1, 0),
    "a slice": lambda x: torch.cat([x, x], -1)[..., : x.shape[-1]],
    "every other step": lambda x: x.repeat_interleave(2, 0)[::2],
    "one image, expanded": lambda x: x[:1].expand_as(x),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts(backend: str, layout: str) -> None:
    x = LAYOUTS[layout](currents(3, 2, 5, 4, 6).to(device_of(backend)))
    grad = currents(3, 2, 5, 4, 6, seed=1).to(x.device)
    leaf = x.detach().requires_grad_()
    spikes = lif(leaf, backend=backend)
    assert torch.equal(spikes, lif(x.contiguous(), backend="reference"))
    for g in (grad, LAYOUTS["channels-last"](grad), grad[:1].expand_as(grad)):
        (got,) = torch.autograd.grad(spikes, leaf, g, retain_graph=True)
        torch.testing.assert_close(got, gradients(x, g, Dynamics(), 2.0)[0], rtol=1e-5, atol=1e-6)
    if layout == "channels-last":
        assert spikes[0].is_contiguous(memory_format=torch.channels_last)


def test_division_by_tau_is_ieee_division(backend: str) -> None:
    """The threshold is put exactly on x / 3, then one float32 above: a product with 1 / 3 misses one or the other of
    many x.
    """
    missed_by_reciprocal = 0
    for k in range(20):
        x = torch.tensor([1.0 + k / 37.0])
        threshold = x / 3.0
        above = torch.nextafter(threshold, torch.tensor(2.0))
        missed_by_reciprocal += int((x * torch.tensor(1 / 3.0) != threshold).item())
        assert lif(x.to(device_of(backend))[None], 3.0, threshold.item(), backend=backend).item() == 1
        assert lif(x.to(device_of(backend))[None], 3.0, above.item(), backend=backend).item() == 0
    assert missed_by_reciprocal > 3


def test_many_near_misses(backend: str) -> None:
    """A hundred thousand membranes within rounding of the threshold: any fused or reordered operation flips some of
    them.
    """
    for tau, decay_input, v_reset in itertools.product((2.0, 3.0, 1.7), (True, False), (0.0, 0.1)):
        first = torch.rand(100_000, generator=torch.Generator().manual_seed(6)) - 0.4
        v = v_reset + (first - (v_reset - v_reset)) / tau if decay_input else v_reset + first
        need = (1 - v) * tau + (v - v_reset) if decay_input else 1 - v + (v - v_reset) / tau
        x = torch.stack([first, need]).to(device_of(backend))
        expected = lif(x, tau, v_reset=v_reset, decay_input=decay_input, backend="reference")
        assert 0.2 < expected[1].mean() < 0.99
        assert torch.equal(lif(x, tau, v_reset=v_reset, decay_input=decay_input, backend=backend), expected)


@pytest.mark.parametrize("v_reset", [0.0, None])
def test_nan_and_infinity(backend: str, v_reset: float | None) -> None:
    nan, inf = float("nan"), float("inf")
    x = torch.tensor([[nan, inf, -inf, 2.0], [3.0, 0.5, 3.0, nan], [3.0, 3.0, inf, 3.0]], device=device_of(backend))
    got = lif(x, v_reset=v_reset, backend=backend)
    assert torch.equal(got, lif(x, v_reset=v_reset, backend="reference"))
    assert got[:, 0].sum() == 0  # NaN never fires
    assert got[0].tolist() == [0, 1, 0, 1]
    if v_reset is not None:
        assert got[:, 1].tolist() == [1, 0, 1]  # back at rest after +inf


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_int8_spikes(backend: str, dtype: torch.dtype) -> None:
    x = currents(4, 300).to(device_of(backend), dtype)
    spikes = lif(x, backend=backend, spike_dtype=torch.int8)
    assert spikes.dtype == torch.int8
    assert torch.equal(spikes.to(dtype), lif(x, backend="reference"))


def test_learned_tau(backend: str) -> None:
    x, grad = (currents(5, 900, seed=seed).to(device_of(backend)) for seed in (8, 9))
    tau = torch.tensor(2.3, device=x.device)
    reason = get(backend).why_not(x, Dynamics(), learned_tau=True)
    if reason is not None:
        pytest.skip(reason)
    for decay_input, v_reset in ((True, 0.0), (False, -0.2), (False, None)):
        y, ours = x.clone().requires_grad_(), tau.clone().requires_grad_()
        spikes = lif(y, ours, v_reset=v_reset, decay_input=decay_input, backend=backend)
        assert torch.equal(spikes, lif(x, tau.item(), v_reset=v_reset, decay_input=decay_input, backend="reference"))
        spikes.backward(grad)
        dynamics = Dynamics(2.3, 1.0, v_reset, decay_input)
        dx, dtau = gradients(x.double(), grad.double(), dynamics, tau.double())
        torch.testing.assert_close(ours.grad, dtau.float(), rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(y.grad, dx.float(), rtol=1e-4, atol=1e-5)


def test_threads_give_the_same(backend: str) -> None:
    if device_of(backend) != "cpu" or INTERPRETED:
        pytest.skip("threads are the CPU's")
    x, grad = currents(4, 70_001), currents(4, 70_001, seed=1)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y = x.clone().requires_grad_()
            spikes = lif(y, backend=backend)
            spikes.backward(grad)
            results.append((spikes.detach(), y.grad))
    finally:
        torch.set_num_threads(before)
    for spikes, dx in results[1:]:
        assert torch.equal(spikes, results[0][0])
        torch.testing.assert_close(dx, results[0][1])  # torch's vectorised and scalar sigmoid differ in the last bit
