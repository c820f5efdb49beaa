"""What the harness `kernel` times: every backend computes the variant's LIF, against SpikingJelly's LIFNode; the copy copies."""

import shutil

import pytest
import torch
from spikingjelly.activation_based import neuron as theirs
from spikingjelly.activation_based import surrogate

from spikebench.harnesses._kernel.points import Point, Way
from spikebench.harnesses._kernel.timed import Copy, Lif, inputs_of, neuron_of
from spikebench.harnesses._timing.outcome import UnavailableError
from spikebench.testing import TINY

CPU = torch.device("cpu")
POINT = Point((3, 2, 4, 5, 5), "fp32")
UNLIKE = TINY.replace(
    neuron={"name": "lif", "tau": 3.0, "v_threshold": 0.7, "v_reset": None, "detach_reset": False, "decay_input": False},
    surrogate={"name": "atan", "alpha": 1.5},
)
"""A neuron that differs from the default in everything."""


def contender(way: Way, variant=TINY, point: Point = POINT) -> Lif:
    x, grad = inputs_of(point, CPU)
    return Lif(neuron_of(variant, point, CPU), way, x, grad)


@pytest.mark.parametrize("backend", ["spikebench", "reference", "torch", "numba", "spikingjelly"])
@pytest.mark.parametrize("variant", [TINY, UNLIKE], ids=["default", "unlike"])
def test_every_backend_computes_the_variants_neuron(backend: str, variant) -> None:
    """Against SpikingJelly's LIFNode, made here from the variant's numbers."""
    o = variant.neuron.resolve("neurons")
    node = theirs.LIFNode(
        o.tau,
        o.decay_input,
        o.v_threshold,
        o.v_reset,
        surrogate.ATan(alpha=1.5) if variant is UNLIKE else surrogate.Sigmoid(alpha=4.0),
        o.detach_reset,
        step_mode="m",
    )
    forward, both = (contender(Way(backend, phase), variant) for phase in ("forward", "forward+backward"))
    leaf = forward.x.clone().requires_grad_()
    expected = node(leaf)
    expected.backward(both.grad)
    assert 0 < float(expected.detach().mean()) < 1
    assert torch.equal(forward(), expected.detach())
    torch.testing.assert_close(both(), leaf.grad, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(both(), leaf.grad, rtol=1e-5, atol=1e-6)  # nothing is accumulated, no state is kept


@pytest.mark.parametrize("dtype", ["bf16", "fp16"])
@pytest.mark.parametrize("backend", ["torch", "spikingjelly"])
def test_half_precision_in_is_half_precision_out(dtype: str, backend: str) -> None:
    point = Point((3, 2, 4), dtype)
    forward, both = (contender(Way(backend, phase), point=point) for phase in ("forward", "forward+backward"))
    assert forward().dtype == both().dtype == forward.x.dtype == {"bf16": torch.bfloat16, "fp16": torch.float16}[dtype]


def test_the_copy_copies() -> None:
    x, _ = inputs_of(Point((2, 3), "fp32"), CPU)
    assert torch.equal(Copy(x)(), x)


def test_triton_needs_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    with pytest.raises(UnavailableError, match="'triton' cannot run: Triton's kernel runs on a CUDA device, x is on cpu"):
        contender(Way("triton", "forward"))


@pytest.mark.slow
@pytest.mark.skipif(not any(map(shutil.which, ("g++", "clang++", "c++"))), reason="torch.compile needs a C++ compiler")
def test_spikingjelly_compiled_computes_the_same() -> None:
    compiled, eager = (contender(Way(name, "forward+backward")) for name in ("spikingjelly-compiled", "spikingjelly"))
    torch.testing.assert_close(compiled(), eager(), rtol=1e-4, atol=1e-5)
    assert compiled.implementation == "SpikingJelly's torch.compile"
