"""What the training loop costs beside the steps themselves, and what bf16 gains: ratios of one run, sides interleaved."""

import time
from collections.abc import Callable
from statistics import median

import pytest
import torch
from torch import nn
from torch.nn import functional

from spikebench import data
from spikebench.core.instructions import usable
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.harnesses._ways.contender import Contender
from spikebench.harnesses._ways.ways import Way
from spikebench.networks import build
from spikebench.training.loop import Training
from spikebench.training.options import TrainingOptions

CPU = torch.device("cpu")
DIGITS = VariantSpec(depth=2, dim=64, num_heads=4)
OPTIONS = TrainingOptions(epochs=12, batch_size=64, lr=4e-3)


pytestmark = pytest.mark.usefixtures("one_thread")


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def ratio(slow: Callable[[], object], fast: Callable[[], object], rounds: int) -> float:
    """Median of the ratios of neighbours in time, after one round that does not count; their order alternates."""
    ratios = []
    for index in range(rounds + 1):
        if index % 2:
            one, other = seconds(slow), seconds(fast)
        else:
            other, one = seconds(fast), seconds(slow)
        ratios.append(one / other)
    return median(ratios[1:])


def bare_epoch(model: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor) -> None:
    """As short as a training script can be: no shuffling, schedule, clipping or figures."""
    for images, labels in zip(x.split(64), y.split(64), strict=True):
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(model(images), labels, label_smoothing=0.1).backward()
        optimizer.step()


def test_an_epoch_costs_at_most_a_tenth_more_than_its_bare_steps(benchmark) -> None:
    dataset = data.load("digits")
    x, y = (part[:640] for part in dataset.split("train").tensors)
    torch.manual_seed(0)
    training = Training(build(DIGITS, dataset.inputs), dataset, OPTIONS, seed=0, device=CPU)
    training.train_split = torch.utils.data.TensorDataset(x, y)
    training.samples, training.steps_per_epoch = 640, 10
    bare = build(DIGITS, dataset.inputs).train()
    optimizer = torch.optim.AdamW(bare.parameters(), lr=1e-3, fused=True)

    def whole() -> None:
        with training.randomness.active():
            training.model.train()
            for images, labels in training._batches():
                training._step(images, labels, 1e-3)

    found = ratio(whole, lambda: bare_epoch(bare, optimizer, x, y), rounds=7)
    benchmark.extra_info["ratio"] = found
    benchmark.pedantic(whole, rounds=1)
    assert found < 1.10


@pytest.mark.skipif("amx_bf16" not in usable(), reason="this CPU has no AMX")
def test_bf16_is_at_least_one_and_a_half_times_as_fast_where_auto_chooses_it(benchmark) -> None:
    inputs = InputSpec(1, 32, 10)
    model = build(VariantSpec(depth=2, dim=128, num_heads=4), inputs)
    x, y = torch.rand(16, 1, 32, 32), torch.randint(10, (16,))
    half, single = (Contender(model, Way(dtype=dtype, phase="training"), x, y) for dtype in ("bf16", "fp32"))
    found = ratio(single, half, rounds=7)
    benchmark.extra_info["ratio"] = found
    benchmark.pedantic(half, rounds=1)
    assert found > 1.5
