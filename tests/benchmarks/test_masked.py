"""What a step of masked pre-training saves against a supervised step: ratios of one run, sides in turns, on one thread.

SCS stem of two stages, 64 tokens, ratio 0.75, decoder of one block 64 wide. A ratio is that of the shortest processor times,
which other work on the machine spoils least. ``extra_info`` has the dense stem's ratio beside the sparse one's.

    pytest tests/benchmarks/test_masked.py --benchmark-columns=min,median --benchmark-json=masked.json
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks import build
from spikebench.networks.masked import Masking, build_masked, with_position

IMAGES = InputSpec(3, 32, 10)
ROUNDS = 4

Step = Callable[[], None]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def step(kind: str, dim: int, depth: int, T: int, batch: int) -> Step:
    """One optimisation step: ``supervised``, or masked with the ``sparse`` or the ``dense`` stem."""
    spec = VariantSpec(depth=depth, dim=dim, num_heads=8, T=T).replace(stem={"name": "scs", "patch_size": 4})
    torch.manual_seed(0)
    x, y = torch.rand(batch, 3, 32, 32), torch.randint(10, (batch,))
    masked = None if kind == "supervised" else build_masked(with_position(spec), IMAGES, Masking(sparse_stem=kind == "sparse"))
    model = masked or build(spec, IMAGES)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-3, fused=True)

    def run() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss = masked(x).loss if masked else model.loss(x, y)[0]  # type: ignore[operator]
        loss.backward()
        optimizer.step()

    return run


def savings(dim: int, depth: int, T: int, batch: int) -> dict[str, float]:
    """How many times cheaper than a supervised step: by processor time, the shortest of ``ROUNDS`` in turns."""
    steps = {kind: step(kind, dim, depth, T, batch) for kind in ("supervised", "sparse", "dense")}
    times: dict[str, list[float]] = {kind: [] for kind in steps}
    for number in range(ROUNDS + 1):
        for kind, run in steps.items():
            start = time.process_time()
            run()
            if number:
                times[kind].append(time.process_time() - start)
    return {kind: min(times["supervised"]) / min(times[kind]) for kind in ("sparse", "dense")}


def report(benchmark: Any, found: dict[str, float], target: float, **setting: int) -> None:
    benchmark.pedantic(step("sparse", **setting), rounds=1, iterations=1)
    benchmark.extra_info.update({f"{kind} ratio": round(value, 3) for kind, value in found.items()}, target=target, **setting)
    print(f"\n{setting}: {found['sparse']:.2f} times cheaper (at least {target}), dense stem {found['dense']:.2f} times")


@pytest.mark.parametrize(
    ("dim", "T", "target"),
    [(64, 4, 2.0), (128, 4, 2.0), (64, 1, 1.6), (128, 1, 2.2), (256, 1, 2.8)],
)
def test_a_masked_step_is_cheaper_than_a_supervised_one(benchmark: Any, dim: int, T: int, target: float) -> None:
    setting = {"dim": dim, "depth": 8, "T": T, "batch": 16 if T > 1 else 32}
    found = savings(**setting)
    report(benchmark, found, target, **setting)
    assert found["sparse"] >= target


def test_the_saving_grows_with_depth(benchmark: Any) -> None:
    """Spikformer V2's abstract (arXiv 2401.02020) claims that pre-training pays the more the larger the model."""
    setting = {"dim": 128, "T": 4, "batch": 16}
    shallow, deep = (savings(depth=depth, **setting) for depth in (8, 16))
    report(benchmark, deep, shallow["sparse"], depth=16, **setting)
    assert deep["sparse"] > shallow["sparse"]


@pytest.mark.parametrize("dim", [64, 128])
@pytest.mark.parametrize("T", [1, 4])
def test_every_spike_of_the_sparse_stem_is_that_of_the_dense_one_in_single_precision(benchmark: Any, dim: int, T: int) -> None:
    """In evaluation mode, statistics first fitted to the images; the sums are the same but for their order."""
    spec = VariantSpec(depth=1, dim=dim, num_heads=8, T=T).replace(stem={"name": "scs", "patch_size": 4}, position="spikes")
    x, tokens, state = torch.rand(16, 3, 32, 32), [], {}
    mask = torch.rand(16, 64).argsort(1) < 48
    for sparse in (True, False):
        torch.manual_seed(0)
        model = build_masked(spec, IMAGES, Masking(sparse_stem=sparse))
        if not state:
            for _ in range(20):
                model.encode(x, mask)
            state = model.state_dict()
        model.load_state_dict(state)
        tokens.append(model.eval().encode(x, mask))
    benchmark.pedantic(lambda: model.encode(x, mask), rounds=1, iterations=1)
    different = int((tokens[0] != tokens[1]).sum())
    benchmark.extra_info.update(spikes=tokens[0].numel(), different=different)
    print(f"\ndim {dim}, T {T}: {different} of {tokens[0].numel()} differ, mean {tokens[0].mean():.3f}")
    assert different == 0
