"""What counting costs: a counted forward pass over a plain one, as a ratio of one run; each row has its target.

Both sides take turns in one process on one thread, the network as declared (without shortcuts) on both; the ratio is that of
the shortest times, which other work on the machine spoils least. Times are the process's own: time that others take does not
count. An observer lives over many batches, so setting it up is left out, as is compiling its loops; what it does at the end of
each is not.

    pytest tests/benchmarks/test_counting.py --benchmark-columns=min,median --benchmark-json=counting.json
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

import spikebench
from spikebench.activity import ActivityObserver
from spikebench.core import allocator
from spikebench.core.variant import InputSpec
from spikebench.networks.shortcuts import without_shortcuts

ROUNDS = 4
LIMIT = 1.25
"""What fails: the loops that count wait for memory, and the layers beside them for arithmetic, so a busy machine spoils the
ratio.
"""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """And memory that is kept when it is freed: else page faults, up to a fifth of either time, come and go by chance."""
    allocator.keep()
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def lively(preset: str, inputs: InputSpec, batch: int) -> tuple[nn.Module, torch.Tensor]:
    """BatchNorm calibrated on a few images: a network of fresh weights is silent."""
    torch.manual_seed(0)
    model = spikebench.build(preset, inputs)
    x = torch.rand(batch, inputs.channels, inputs.size, inputs.size)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.momentum = 1.0
            nn.init.constant_(module.bias, 0.4)
    with torch.no_grad():
        model.train()(x[:4])
    return model.eval(), x


@pytest.mark.parametrize(
    ("preset", "inputs", "batch", "target"),
    [
        pytest.param("spikformer-4-384", InputSpec(3, 32, 10), 64, 1.05, id="4-384"),
        pytest.param("spikformer-4-384", InputSpec(3, 32, 10), 8, 1.08, id="4-384-small"),
        # Small layers: what is left is Python's share, a fixed 20 to 30 ms a pass.
        pytest.param("spikformer-2-64", InputSpec(1, 8, 10), 64, 1.15, id="2-64-small"),
        pytest.param("spikformer-2-64", InputSpec(1, 8, 10), 512, None, id="2-64"),
    ],
)
def test_counting(benchmark: Any, preset: str, inputs: InputSpec, batch: int, target: float | None) -> None:
    model, x = lively(preset, inputs, batch)
    plain, counted = [], []

    def run() -> float:
        start = time.process_time()
        with torch.no_grad(), without_shortcuts():
            model(x)
        return time.process_time() - start

    run()
    with torch.no_grad(), ActivityObserver(model):
        model(x)
    for _ in range(ROUNDS):
        plain.append(run())
        with ActivityObserver(model):
            run()
            counted.append(run())
        plain.append(run())
    with ActivityObserver(model):
        benchmark.pedantic(run, rounds=1, iterations=1)
    ratio = min(counted) / min(plain)
    benchmark.extra_info.update(ratio=round(ratio, 3), threads=1, **({"target": target} if target else {}))
    print(
        f"\n{preset}, batch {batch}: counting costs {100 * (ratio - 1):.1f} % ({min(counted):.3f} s against {min(plain):.3f} s)"
    )
    if target is not None and batch == 64 and preset == "spikformer-4-384":
        assert ratio <= LIMIT
