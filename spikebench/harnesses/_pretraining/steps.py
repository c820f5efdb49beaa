"""Optimisation steps of one network, supervised and masked, ready to be run in turns."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from spikebench.core.protocols import Subject
from spikebench.core.records import Scalar
from spikebench.harnesses._memory.allocations import bytes_of
from spikebench.harnesses._memory.allocations import peak as peak_of
from spikebench.harnesses._ways.contender import first_batch
from spikebench.networks.decoder import DecoderOptions
from spikebench.networks.masked import MaskedNetwork, Masking, build_masked, make_mask, with_position
from spikebench.training.objective import Classification
from spikebench.training.optimizers import make_optimizer
from spikebench.training.options import TrainingOptions
from spikebench.training.randomness import seed_globally

if TYPE_CHECKING:
    from spikebench.harnesses.pretraining_cost import Harness

TRAINING = TrainingOptions()


@dataclass
class Step:
    """One way to train ``model`` on one batch; calling it is one optimisation step."""

    model: nn.Module
    x: Tensor
    y: Tensor
    conditions: dict[str, Scalar]
    optimizer: torch.optim.Optimizer = field(init=False)

    def __post_init__(self) -> None:
        self.model.train()
        self.optimizer = make_optimizer(self.model, TRAINING)

    def __call__(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss: Any = self.model(self.x).loss if self.is_masked else Classification(TRAINING)(self.model, self.x, self.y)
        loss.backward()
        self.optimizer.step()

    @property
    def is_masked(self) -> bool:
        return isinstance(self.model, MaskedNetwork)


def kinds(subject: Subject, options: Harness.Options) -> Iterator[Step]:
    """The supervised step first, then for each mask ratio a masked one, and one with the dense stem if asked for."""
    x, y = first_batch(subject.dataset, options.batch_size, subject.device)
    size: Scalar = options.batch_size
    yield Step(copy.deepcopy(subject.model), x, y, {"kind": "supervised", "batch_size": size})
    decoder = DecoderOptions(options.decoder_depth, options.decoder_width)
    spec = with_position(subject.job.cell.variant)
    for ratio in options.mask_ratios:
        for kind, sparse in (("masked", True), ("masked-dense", False)):
            if sparse or options.dense_stem:
                with torch.random.fork_rng(devices=[]):
                    seed_globally(subject.job.cell.seed)
                    masked = build_masked(spec, subject.dataset.inputs, Masking(ratio, sparse_stem=sparse, decoder=decoder))
                yield Step(masked.to(subject.device), x, y, {"kind": kind, "mask_ratio": ratio, "batch_size": size})


def race(steps: list[Step], rounds: int, device: torch.device) -> list[list[float]]:
    """Seconds of each step, ``rounds`` of each in turns, after one that does not count."""
    times: list[list[float]] = [[] for _ in steps]
    for number in range(rounds + 1):
        for step, kept in zip(steps, times, strict=True):
            _wait(device)
            start = time.perf_counter()
            step()
            _wait(device)
            if number:
                kept.append(time.perf_counter() - start)
    return times


def counted(step: Step) -> float:
    """Dense MACs of one image's forward pass."""
    from spikebench.activity import count

    step.model.eval()
    x = step.x[:, :8] if step.x.dim() == 5 else step.x[:8]
    inputs = (x, make_mask(step.model, x.shape[-4], seed=0).to(x.device)) if isinstance(step.model, MaskedNetwork) else (x,)
    found = count(step.model, inputs)
    step.model.train()
    return sum(site.dense_macs for site in found.sites if site.synaptic) / found.samples


def peak(step: Step, device: torch.device) -> int:
    """Bytes at the worst moment of one step, weights and optimizer included."""
    states = [value for state in step.optimizer.state.values() for value in state.values() if isinstance(value, Tensor)]
    alive = bytes_of([*step.model.parameters(), *step.model.buffers(), *states, step.x, step.y])
    return peak_of(step, device, alive).allocated


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
