"""The LIF kernels on the CPU: how many times faster than SpikingJelly 2's eager LIFNode, as ratios of one run.

Ours and theirs take turns in one process on one thread; the ratio is that of the shortest times, which other work on
the machine spoils least. What is timed by pytest-benchmark is ours; ``extra_info`` has the ratio, and its target.
Both sides start with the state reset, and both allocate their outputs.

    pytest tests/benchmarks/test_lif.py --benchmark-columns=min,median --benchmark-json=lif.json
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from spikingjelly.activation_based import functional, neuron
from torch import Tensor

from spikebench.kernels.lif import lif

SHAPE = (4, 32, 96, 32, 32)
ROUNDS = 7
TARGETS = {("numba", "forward"): 8.0, ("numba", "training"): 4.0, ("torch", "forward"): 3.0, ("torch", "training"): 1.8}


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Case:
    """The same input, gradient and phase for whoever computes it."""

    def __init__(self, phase: str) -> None:
        generator = torch.Generator().manual_seed(0)
        self.x = torch.randn(SHAPE, generator=generator).requires_grad_(phase == "training")
        self.grad = torch.randn(SHAPE, generator=generator)
        self.node = neuron.LIFNode(tau=2.0, detach_reset=True, step_mode="m")

    def run(self, function: Callable[[Tensor], Tensor]) -> Tensor:
        """Spikes, or dL/dx in training."""
        if not self.x.requires_grad:
            with torch.no_grad():
                return function(self.x)
        self.x.grad = None
        function(self.x).backward(self.grad)
        assert self.x.grad is not None
        return self.x.grad

    def spikingjelly(self) -> Tensor:
        functional.reset_net(self.node)
        return self.run(self.node)

    def ours(self, backend: str) -> Tensor:
        return self.run(lambda x: lif(x, backend=backend))


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


@pytest.mark.parametrize("phase", ["forward", "training"])
@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_against_spikingjelly_eager(benchmark: Any, backend: str, phase: str) -> None:
    case = Case(phase)
    # No speed is reported for a wrong result; these calls also compile and warm up.
    torch.testing.assert_close(case.ours(backend), case.spikingjelly(), rtol=1e-4, atol=1e-5)
    theirs: list[float] = []

    def their_turn() -> None:
        theirs.append(seconds(case.spikingjelly))

    benchmark.pedantic(lambda: case.ours(backend), setup=their_turn, rounds=ROUNDS)
    ours = benchmark.stats.stats.data
    ratio, target = min(theirs) / min(ours), TARGETS[backend, phase]
    benchmark.extra_info |= {"ratio": ratio, "target": target, "spikingjelly_s": theirs, "shape": SHAPE, "threads": 1}
    print(f"\n{backend} {phase}: {ratio:.1f}x SpikingJelly eager (target {target}x), {min(ours) * 1e3:.1f} ms")
    assert ratio >= target


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_against_a_copy(benchmark: Any, backend: str) -> None:
    """A copy reads and writes as many bytes as a forward pass, so it is the floor; reported, with no target."""
    case = Case("forward")
    case.ours(backend)
    copies: list[float] = []
    benchmark.pedantic(lambda: case.ours(backend), setup=lambda: copies.append(seconds(lambda: case.x.clone())), rounds=ROUNDS)
    share = min(copies) / min(benchmark.stats.stats.data)
    benchmark.extra_info |= {"share_of_copy_bandwidth": share, "copy_s": copies}
    print(f"\n{backend} forward runs at {share:.0%} of the speed of a copy into new memory")


@pytest.mark.parametrize("backend", ["numba", "torch"])
def test_bfloat16_against_float32(benchmark: Any, backend: str) -> None:
    """Half the bytes; reported, with no target."""
    case, half = Case("training"), Case("training")
    half.x, half.grad = half.x.detach().bfloat16().requires_grad_(), half.grad.bfloat16()
    half.ours(backend)
    single: list[float] = []
    benchmark.pedantic(
        lambda: half.ours(backend), setup=lambda: single.append(seconds(lambda: case.ours(backend))), rounds=ROUNDS
    )
    ratio = min(single) / min(benchmark.stats.stats.data)
    benchmark.extra_info |= {"ratio_to_float32": ratio}
    print(f"\n{backend} training in bfloat16: {ratio:.2f}x its float32")


def test_the_first_call(benchmark: Any, tmp_path: Any) -> None:
    """What numba's compilation costs a new machine, and, from its cache on disk, every later process: a forward and
    backward pass.
    """
    code = (
        "import time, torch; from spikebench.kernels.lif import lif; x = torch.ones(4, 64, requires_grad=True);"
        "t = time.perf_counter(); s = lif(x, backend='numba'); s.backward(s); print(time.perf_counter() - t)"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    times: list[float] = []

    def first_call() -> None:
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        times.append(float(done.stdout))

    benchmark.pedantic(first_call, rounds=3)
    benchmark.extra_info |= {"compiling_s": times[0], "from_cache_s": min(times[1:])}
    print(f"\nfirst numba call: {times[0]:.2f} s compiling, {min(times[1:]):.2f} s from the cache, numba's import included")
