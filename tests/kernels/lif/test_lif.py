"""The public function: what it accepts, which backend it chooses, what it says about bad input, and the operator beneath it."""

import math
import subprocess
import sys
from typing import Any

import pytest
import torch

from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.kernels.dynamics import Dynamics
from spikebench.kernels.lif import _choice, explain, integrate_and_fire, lif, use_backend, which_backend
from spikebench.kernels.surrogates import resolve

X = torch.linspace(-1, 3, 24).reshape(4, 6)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"x": torch.zeros(0, 3)}, "at least one time step"),
        ({"x": [1.0, 2.0]}, "x: must be a tensor, got list"),
        ({"x": torch.tensor(1.0)}, "at least one time step"),
        ({"x": torch.zeros(2, 3, dtype=torch.int32)}, "must be floating point, got torch.int32"),
        ({"tau": 0.5}, "tau: must be a finite number >= 1"),
        ({"tau": math.inf}, "or None for a neuron without leak"),
        ({"tau": math.nan}, "tau: must be"),
        ({"v_threshold": math.nan}, "v_threshold: must be finite"),
        ({"v_reset": math.inf}, "v_reset: must be finite"),
        ({"tau": torch.ones(2)}, r"tau: must be a floating-point tensor of shape \(\)"),
        ({"tau": torch.tensor(2)}, "tau: must be a floating-point tensor"),
        ({"tau": torch.tensor(2.0, device="meta")}, "tau: is on meta, x is on cpu"),
        ({"surrogate": "atam"}, "did you mean 'atan'"),
        ({"backend": "cuda"}, "unknown LIF backend 'cuda'"),
        ({"backend": "triton"}, "'triton' cannot run: Triton's kernel runs on a CUDA device, x is on cpu"),
        ({"backend": "numba", "x": X.double()}, "'numba' cannot run: .*float64"),
        ({"x": X.clone().requires_grad_(), "spike_dtype": torch.int8}, "torch.int8 carries no gradient"),
    ],
)
def test_bad_input(arguments: dict[str, Any], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(InputError, match=says):
        lif(**{"x": X, **arguments})


def test_every_wrong_parameter_is_named_at_once() -> None:
    with pytest.raises(InputError) as error:
        lif(X, tau=0.0, v_threshold=math.inf, v_reset=math.nan)
    assert [problem.key for problem in error.value.problems] == ["tau", "v_threshold", "v_reset"]


@pytest.mark.parametrize("backend", ["auto", "torch", "reference", "numba"])
def test_an_empty_input_gives_an_empty_output(backend: str) -> None:
    x = torch.zeros(4, 0, 3, requires_grad=True)
    spikes = lif(x, backend=backend)
    assert spikes.shape == (4, 0, 3)
    spikes.sum().backward()
    assert x.grad is not None
    assert lif(x.detach(), spike_dtype=torch.int8).dtype == torch.int8


def test_auto_takes_the_fastest_that_can_and_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    assert which_backend(X) == "numba"
    assert which_backend(X.double()) == "torch"
    assert which_backend(X, backend="reference") == "reference"
    monkeypatch.setattr(_choice.get("numba"), "why_not", lambda *_, **__: "not today")
    assert which_backend(X) == "torch"
    assert explain(X)["numba"] == "not today"


def test_auto_never_takes_the_interpreter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert explain(X)["triton"] is None
    assert which_backend(X) == "numba"


def test_use_backend_holds_inside_the_block_alone() -> None:
    before = which_backend(X)
    with use_backend("reference"):
        assert which_backend(X) == "reference"
        assert which_backend(X, backend="torch") == "torch"  # a name at the call wins
        with use_backend("auto"):
            assert which_backend(X) == before
        assert which_backend(X) == "reference"
    assert which_backend(X) == before
    with pytest.raises(InputError, match="unknown LIF backend"), use_backend("nonsense"):
        pass
    with pytest.raises(RuntimeError, match="inside"), use_backend("reference"):
        raise RuntimeError("inside")
    assert which_backend(X) == before


def test_every_backend_explains_itself() -> None:
    reasons = explain(X)
    assert set(reasons) == set(REGISTRIES["backends"].names()) == {"reference", "torch", "numba", "triton"}
    assert reasons["reference"] is None
    assert reasons["torch"] is None


def test_integrate_and_fire_is_the_neuron_without_leak() -> None:
    assert torch.equal(integrate_and_fire(X), lif(X, tau=None))
    assert torch.equal(integrate_and_fire(X), lif(X, tau=None, decay_input=False))
    assert not torch.equal(integrate_and_fire(X), lif(X))


@pytest.mark.parametrize("backend", ["reference", "torch", "numba"])
def test_only_the_input_is_saved_for_the_backward_pass(backend: str) -> None:
    x = torch.randn(8, 500, requires_grad=True)
    saved: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t) or t, lambda t: t):
        lif(x, backend=backend)
    assert [tensor.data_ptr() for tensor in saved] == [x.data_ptr()]


@pytest.mark.parametrize("backend", ["reference", "torch", "numba"])
def test_the_operator_obeys_torchs_rules(backend: str) -> None:
    """Schema, fake kernel, autograd registration and tracing under AOT dispatch, by torch's own checker."""
    neuron = Dynamics(3.0).encode()
    strided = torch.randn(3, 2, 4, 5).permute(0, 1, 3, 2)
    for x in (torch.randn(3, 50), strided, torch.randn(6, 50)[::2], torch.randn(1, 50).expand(3, 50)):
        leaf = x.detach().requires_grad_()
        torch.library.opcheck(torch.ops.spikebench.lif.default, (leaf, None, backend, neuron, None))
    leaf = torch.randn(3, 50, requires_grad=True)
    torch.library.opcheck(torch.ops.spikebench.lif.default, (leaf, torch.tensor(2.5, requires_grad=True), backend, neuron, None))


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_compiles_without_a_graph_break(backend: str) -> None:
    def network(x: torch.Tensor) -> torch.Tensor:
        return lif(2 * x, 3.0, v_reset=None, surrogate={"name": "atan", "alpha": 3.0}, backend=backend).mean(0)

    x = torch.randn(4, 300, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    compiled = torch.compile(network, fullgraph=True, backend="aot_eager")
    compiled(y).square().sum().backward()
    network(x).square().sum().backward()
    assert x.grad is not None
    assert y.grad is not None
    torch.testing.assert_close(y.grad, x.grad)


def test_autocast_does_not_change_the_membrane() -> None:
    x = torch.randn(4, 2000).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(lif(x, 3.0), lif(x.float(), 3.0).bfloat16())
        assert lif(x).dtype == torch.bfloat16
        assert lif(x.float()).dtype == torch.float32


def test_a_second_derivative_is_refused() -> None:
    x = X.clone().requires_grad_()
    (first,) = torch.autograd.grad(lif(x).sum(), x, create_graph=True)
    with pytest.raises(InputError, match="differentiated once"):
        first.sum().backward()


def test_meta_tensors_and_inference_mode() -> None:
    spikes = lif(torch.empty(4, 2, 3, 5, device="meta").transpose(2, 3), spike_dtype=torch.int8)
    assert (spikes.shape, spikes.dtype, spikes.device.type) == ((4, 2, 5, 3), torch.int8, "meta")
    with torch.inference_mode():
        assert torch.equal(lif(X), lif(X, backend="reference"))


@pytest.mark.slow
def test_more_than_two_to_the_31_elements() -> None:
    """One step, expanded over 66,000: half of the neurons fire always, half never."""
    current = torch.tensor([3.0, -3.0]).repeat_interleave(17_000)
    spikes = lif(current.expand(66_000, -1), spike_dtype=torch.int8)
    assert spikes.numel() > 2**31
    for row in (0, 32_767, 65_536, -1):
        assert spikes[row, :17_000].all()
        assert not spikes[row, 17_000:].any()


def test_the_operators_string_brings_the_neuron_back() -> None:
    for dynamics in (Dynamics(), Dynamics(None, 0.3, None, False, False, resolve({"name": "erf", "alpha": 0.1}))):
        assert Dynamics.decode(dynamics.encode()) == dynamics


def test_importing_the_package_loads_neither_numba_nor_triton() -> None:
    code = "import sys, spikebench.kernels.lif; print('numba' in sys.modules, 'triton' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
