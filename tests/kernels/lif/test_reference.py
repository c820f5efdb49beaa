"""The oracle against SpikingJelly 2's nodes, and its gradients against float64 finite differences of the smoothed
problem.
"""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import functional, neuron
from torch import Tensor

from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif import integrate_and_fire, lif
from spikebench.kernels.lif.reference import fire, gradients, membrane, torch_equation

SETTINGS = list(itertools.product((1.5, 2.0, 3.0, 2.7), (True, False), (0.0, None, -0.3), (1.0, 0.5, 0.37), (True, False)))
IDS = ["-".join(map(str, setting)) for setting in SETTINGS]


def currents(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Half of them multiples of 1/4, so that with tau 2 the membrane meets the threshold exactly."""
    generator = torch.Generator().manual_seed(seed)
    x = 1.5 * torch.randn(*shape, generator=generator) + 0.5
    return torch.where(torch.rand(*shape, generator=generator) < 0.5, (4 * x).round() / 4, x).to(dtype)


def spikingjelly_lif(x: Tensor, tau: float, decay_input: bool, v_reset: float | None, v_threshold: float, detach: bool) -> Tensor:
    node = neuron.LIFNode(
        tau=tau, decay_input=decay_input, v_reset=v_reset, v_threshold=v_threshold, detach_reset=detach, step_mode="m"
    )
    functional.reset_net(node)
    out: Tensor = node(x)
    return out


@pytest.mark.parametrize("setting", SETTINGS, ids=IDS)
def test_spikes_and_gradients_are_spikingjellys(setting: tuple) -> None:
    tau, decay_input, v_reset, v_threshold, detach = setting
    for dtype in (torch.float32, torch.float64):
        x = currents(6, 400, dtype=dtype).requires_grad_()
        y = x.detach().clone().requires_grad_()
        theirs = spikingjelly_lif(x, *setting)
        ours = lif(y, tau, v_threshold, v_reset, decay_input, detach, backend="reference")
        assert torch.equal(ours, theirs)
        assert 0.01 < ours.mean() < 0.99
        grad = currents(6, 400, seed=1, dtype=dtype)
        theirs.backward(grad)
        ours.backward(grad)
        torch.testing.assert_close(y.grad, x.grad)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_keeps_a_float32_membrane(dtype: torch.dtype) -> None:
    x = currents(8, 2000, dtype=dtype)
    ours = lif(x, tau=3.0, backend="reference")
    assert ours.dtype == dtype
    assert torch.equal(ours.float(), spikingjelly_lif(x.float(), 3.0, True, 0.0, 1.0, True))


@pytest.mark.parametrize("decay_input", [True, False])
@pytest.mark.parametrize("tau", [1.7, 2.0, 3.0])
def test_membranes_within_rounding_of_the_threshold_fire_as_spikingjellys(tau: float, decay_input: bool) -> None:
    """A hundred thousand of them: any other rounding, such as multiplying by 1 / tau, flips some."""
    first = torch.rand(100_000, generator=torch.Generator().manual_seed(6)) - 0.4
    v = first / tau if decay_input else first
    x = torch.stack([first, (1 - v) * tau + v if decay_input else 1 - v + v / tau])
    expected = spikingjelly_lif(x, tau, decay_input, 0.0, 1.0, True)
    assert 0.2 < expected[1].mean() < 0.99
    assert torch.equal(lif(x, tau, decay_input=decay_input, backend="reference"), expected)


@pytest.mark.parametrize("v_reset", [0.0, None, 0.2])
def test_no_leak_is_integrate_and_fire(v_reset: float | None) -> None:
    x, grad = currents(5, 300), currents(5, 300, seed=1)
    ours, theirs = x.clone().requires_grad_(), x.clone().requires_grad_()
    node = neuron.IFNode(v_reset=v_reset, detach_reset=False, step_mode="m")
    expected = node(theirs)
    got = integrate_and_fire(ours, v_reset=v_reset, detach_reset=False, backend="reference")
    assert torch.equal(got, expected)
    expected.backward(grad)
    got.backward(grad)
    torch.testing.assert_close(ours.grad, theirs.grad)


@pytest.mark.parametrize("decay_input", [True, False])
def test_a_learned_tau_has_the_gradient_of_spikingjellys_plif(decay_input: bool) -> None:
    x, grad = currents(5, 300, dtype=torch.float64), currents(5, 300, seed=1, dtype=torch.float64)
    node = neuron.ParametricLIFNode(init_tau=2.5, decay_input=decay_input, detach_reset=True, step_mode="m").double()
    w = node.w.detach().clone().requires_grad_()
    expected = node(x)
    got = lif(x, 1 / w.sigmoid(), decay_input=decay_input, backend="reference")
    assert torch.equal(got, expected)
    expected.backward(grad)
    got.backward(grad)
    torch.testing.assert_close(w.grad, node.w.grad)


@given(
    x=st.lists(st.floats(-3, 3), min_size=1, max_size=6),
    tau=st.one_of(st.none(), st.floats(1, 5)),
    threshold=st.floats(0.2, 1.5),
    v_reset=st.one_of(st.none(), st.floats(-0.5, 0.1)),
    decay_input=st.booleans(),
    detach_reset=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_gradient_is_that_of_the_smoothed_neuron(
    x: list, tau: float | None, threshold: float, v_reset: float | None, decay_input: bool, detach_reset: bool
) -> None:
    """With the primitive in place of the step the equations are exact calculus, so finite differences must agree.

    With ``detach_reset`` the reset's own spike is held constant: then the base point's spikes are used in the shifted
    runs.
    """
    from spikebench.kernels.surrogates import resolve

    dynamics = Dynamics(tau, threshold, v_reset, decay_input, detach_reset, resolve("sigmoid"))
    primitive = torch_equation(dynamics, "primitive")

    def smooth(h: Tensor, d: Dynamics) -> Tensor:
        return primitive(h - d.v_threshold, *d.surrogate.arguments)

    base = torch.tensor(x, dtype=torch.float64)[:, None]
    weights = torch.linspace(0.5, 1.5, len(x), dtype=torch.float64)[:, None]
    fixed = smooth(membrane(base, dynamics, tau, smooth), dynamics)

    def loss(current: Tensor, tau: float | None) -> Tensor:
        steps = iter(fixed)

        def step(h: Tensor, d: Dynamics) -> Tensor:
            return next(steps) if d.detach_reset else smooth(h, d)

        return (weights * smooth(membrane(current, dynamics, tau, step), dynamics)).sum()

    learned = None if tau is None else torch.tensor(tau, dtype=torch.float64)
    dx, dtau = gradients(base, weights, dynamics, learned, smooth)
    eps = 1e-6
    for t in range(len(x)):
        shift = torch.zeros_like(base)
        shift[t] = eps
        difference = (loss(base + shift, tau) - loss(base - shift, tau)) / (2 * eps)
        torch.testing.assert_close(dx[t, 0], difference, rtol=1e-5, atol=1e-7)
    if tau is not None:
        difference = (loss(base, tau + eps) - loss(base, tau - eps)) / (2 * eps)
        torch.testing.assert_close(dtau, difference, rtol=1e-5, atol=1e-7)


def test_fires_at_the_threshold_and_not_for_nan() -> None:
    h = torch.tensor([1.0, 1.0 - 2**-24, float("nan"), float("inf"), -float("inf")])
    assert fire(h, Dynamics()).tolist() == [1, 0, 0, 1, 0]
