"""Spikformer-4-384 on 32x32 images, T = 4: how much faster than the released layout with SpikingJelly's LIF, and why.

Both sides take turns in one process on one thread; a ratio is that of the shortest times, which other work on the machine spoils
least. What is timed by pytest-benchmark is ours; ``extra_info`` has the ratio and, where one is promised, its target.

    pytest tests/benchmarks/test_networks.py --benchmark-columns=min,median --benchmark-json=networks.json
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebench.core import allocator
from spikebench.core.variant import InputSpec
from spikebench.networks import build, load_foreign, shortcuts
from spikebench.networks.folding import fold
from spikebench.networks.layers import BatchNorm2d, Conv2d
from spikebench.networks.presets import load

CIFAR10 = InputSpec(3, 32, 10)
BATCH = 16
ROUNDS = 3
TARGET = 1.35
FUSED_TARGET, FOLDED_TARGET = 1.6, 1.75

Call = Callable[[], Any]


def shortest(ours: Call, theirs: Call, rounds: int = ROUNDS) -> tuple[float, float]:
    """Processor seconds of the shortest of ``rounds`` calls of each, in turns, after one call of each that does not count."""
    times: tuple[list[float], list[float]] = ([], [])
    for i in range(rounds + 1):
        for call, kept in zip((ours, theirs), times, strict=True):
            start = time.process_time()
            call()
            if i:
                kept.append(time.process_time() - start)
    return min(times[0]), min(times[1])


def report(benchmark: Any, ours: Call, theirs: Call, target: float | None = None, rounds: int = ROUNDS) -> float:
    """Times both, hands ours to pytest-benchmark, and returns theirs / ours."""
    fast, slow = shortest(ours, theirs, rounds)
    benchmark.pedantic(ours, rounds=1, iterations=1)
    benchmark.extra_info.update(
        ratio=round(slow / fast, 3), threads=torch.get_num_threads(), **({"target": target} if target else {})
    )
    print(f"\n{benchmark.name}: {slow / fast:.2f} times faster ({fast * 1e3:.1f} ms against {slow * 1e3:.1f} ms)")
    return slow / fast


def released() -> nn.Module:
    path = Path(__file__).parents[1] / "networks" / "oracles" / "spikformer_official.py"
    spec = importlib.util.spec_from_file_location("spikformer_official", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network: nn.Module = module.Spikformer("cifar")
    return network


def training_step(model: nn.Module) -> Call:
    images, labels = torch.randn(BATCH, 3, 32, 32), torch.arange(BATCH) % 10
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)

    def step() -> None:
        optimizer.zero_grad()
        F.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def inference(model: nn.Module, context: Callable[[], Any] = nullcontext) -> Call:
    images = torch.randn(BATCH, 3, 32, 32)
    model.eval()

    def run() -> None:
        with torch.no_grad(), context():
            model(images)

    return run


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """And both sides with the same allocator."""
    allocator.keep()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def ours() -> nn.Module:
    torch.manual_seed(0)
    return build(load("spikformer-4-384"), CIFAR10)


@pytest.fixture
def pair() -> tuple[nn.Module, nn.Module]:
    """Our network and the released one with the same weights; no speed is reported unless their logits agree."""
    torch.manual_seed(0)
    theirs = released().eval()
    mine = load_foreign(theirs.state_dict(), "spikformer-cifar")
    with torch.no_grad():
        image = torch.randn(2, 3, 32, 32)
        torch.testing.assert_close(mine(image), theirs(image), rtol=0, atol=1e-4)
    return mine, theirs


def test_training_step_against_the_released_layout(benchmark: Any, pair: tuple[nn.Module, nn.Module]) -> None:
    mine, theirs = (training_step(model.train()) for model in pair)
    ratio = report(benchmark, mine, theirs, TARGET)
    assert ratio >= TARGET


def test_inference_against_the_released_layout(benchmark: Any, pair: tuple[nn.Module, nn.Module]) -> None:
    report(benchmark, *map(inference, pair))


def test_against_theirs_as_users_run_it(benchmark: Any) -> None:
    """Each side in processes of its own, in turns, with its own defaults: see ``as_users.py``."""
    script = Path(__file__).parent / "as_users.py"

    def run(side: str) -> dict[str, Any]:
        done = subprocess.run([sys.executable, str(script), side], check=True, capture_output=True, text=True)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    sides = [(run("theirs"), benchmark.pedantic(run, ("ours",), rounds=1)), (run("theirs"), run("ours"))]
    for phase in ("training", "inference"):
        for clock in ("processor", "clock"):
            theirs, ours = (min(pair[i][phase][clock] for pair in sides) for i in (0, 1))
            benchmark.extra_info[f"{phase}_{clock}"] = round(theirs / ours, 3)
            print(f"\n{phase}, {clock}: {theirs / ours:.2f} times faster ({ours:.3f} s against {theirs:.3f} s)", end="")


def test_fused_training_step_against_the_released_layout(benchmark: Any, pair: tuple[nn.Module, nn.Module]) -> None:
    mine, theirs = (training_step(model.train()) for model in pair)

    def fused() -> None:
        with shortcuts.fusing_bn_lif():
            mine()

    report(benchmark, fused, theirs, FUSED_TARGET)


def test_fused_and_folded_inference_against_the_released_layout(benchmark: Any, pair: tuple[nn.Module, nn.Module]) -> None:
    mine, theirs = pair
    folded, count = fold(mine)
    assert count == 29
    seconds = {
        name: shortest(call, inference(theirs))
        for name, call in {"fused": inference(mine, shortcuts.fusing_bn_lif), "folded": inference(folded)}.items()
    }
    found = {name: slow / fast for name, (fast, slow) in seconds.items()}
    benchmark.pedantic(inference(folded), rounds=1, iterations=1)
    benchmark.extra_info.update(found, target_folded=FOLDED_TARGET)
    print(f"\nagainst the released layout: fused {found['fused']:.2f} times, folded {found['folded']:.2f} times faster")


def test_training_step_with_and_without_shortcuts(benchmark: Any, ours: nn.Module) -> None:
    step = training_step(ours)

    def plain() -> None:
        with shortcuts.without_shortcuts():
            step()

    report(benchmark, step, plain)


def test_inference_with_and_without_shortcuts(benchmark: Any, ours: nn.Module) -> None:
    report(benchmark, inference(ours), inference(ours, shortcuts.without_shortcuts))


def test_first_convolution_once(benchmark: Any) -> None:
    """The first stage of a stem before its neuron, forward and backward."""
    conv, norm = Conv2d(3, 48, 3, padding=1, bias=False), BatchNorm2d(48)
    image = torch.randn(BATCH, 3, 32, 32).unsqueeze(0).expand(4, -1, -1, -1, -1)

    def once() -> None:
        norm(conv(image)).sum().backward()

    def every_step() -> None:
        with shortcuts.without_shortcuts():
            once()

    report(benchmark, once, every_step, rounds=10)


@pytest.mark.parametrize("heads", [8, 12], ids=["d48", "d32"])
def test_cheaper_order(benchmark: Any, heads: int) -> None:
    """64 tokens: Q (K^T V) against (Q K^T) V, forward and backward."""
    from spikebench.core.values import BINARY
    from spikebench.networks.attentions._product import attend

    q, k, v = ((torch.rand(4, BATCH, heads, 64, 384 // heads) < 0.2).float().requires_grad_() for _ in range(3))

    def run(order: Any) -> Tensor:
        out = attend(q, k, v, order, BINARY)
        out.sum().backward()  # type: ignore[no-untyped-call]
        return out

    report(benchmark, lambda: run("kv_first"), lambda: run("qk_first"), rounds=10)


def test_fused_qkv(benchmark: Any, ours: nn.Module) -> None:
    report(benchmark, inference(ours, shortcuts.fusing_qkv), inference(ours))


def has_bf16() -> bool:
    flags = Path("/proc/cpuinfo")
    return flags.exists() and bool({"amx_bf16", "avx512_bf16"} & set(flags.read_text().split()))


@pytest.mark.skipif(not has_bf16(), reason="this CPU has no bf16 instructions")
@pytest.mark.parametrize(("phase", "target"), [("training", 2.3), ("inference", 2.5)])
def test_bf16_against_the_released_layout_in_fp32(
    benchmark: Any, pair: tuple[nn.Module, nn.Module], phase: str, target: float
) -> None:
    mine, theirs = pair
    make = (lambda model: training_step(model.train())) if phase == "training" else inference
    plain, other = make(mine), make(theirs)

    def ours() -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            plain()

    assert report(benchmark, ours, other, target) >= target
