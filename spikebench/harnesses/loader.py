"""Whether the loader keeps the device busy: its own images per second, against those of the training step."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Gt

from spikebench.core.metrics import Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record, Scalar
from spikebench.training.options import TrainingOptions


def _rate(name: str, title: str, note: str) -> Metric:
    return Metric(name, "1/s", "higher", "measured", title, display_unit="images/s", portable=False, tolerance=0.1, note=note)


LOADER = _rate("loader_throughput", "Loader throughput", "training batches on the device, and nothing done with them")
STEP = _rate("step_throughput", "Step throughput", "optimisation steps, their batches there already")
HEADROOM = Metric(
    "loader_headroom",
    "1",
    "higher",
    "measured",
    "Loader against step",
    portable=False,
    tolerance=0.1,
    note="images per second of the loader over those of the step; below 1 the device waits",
)


class Harness:
    """Batches as the cell's own training takes them: its size, its ``workers``, in a random order. Weights do not matter."""

    @dataclass(frozen=True)
    class Options:
        """``seconds``: how long batches are taken, and how long steps, at least; one epoch at most, and two steps at least."""

        seconds: Annotated[float, Gt(0)] = 2.0

    metrics = (LOADER, STEP, HEADROOM)
    version = 1
    needs_weights = False
    exclusive = True
    resumes = False
    stage = False

    def run(self, subject: Subject, options: Options) -> Iterator[Record]:
        """One record each; samples of the throughputs are single batches. The first of either does not count."""
        import copy

        from spikebench.training.loop import Training

        cell = subject.job.cell
        chosen = cell.training.resolve("harnesses") if cell.training is not None else TrainingOptions()
        training = Training(copy.deepcopy(subject.model), subject.dataset, chosen, seed=cell.seed, device=subject.device)
        conditions: dict[str, Scalar] = {"batch_size": chosen.batch_size, "workers": chosen.workers}
        loader = _loading(training, chosen, subject.device, options.seconds)
        yield Record.of(LOADER, _pooled(loader), conditions=conditions, samples=[images / seconds for images, seconds in loader])
        steps = _stepping(training, chosen, options.seconds)
        yield Record.of(STEP, _pooled(steps), conditions=conditions, samples=[images / seconds for images, seconds in steps])
        yield Record.of(HEADROOM, _pooled(loader) / _pooled(steps), conditions=conditions)


def _pooled(taken: list[tuple[int, float]]) -> float:
    return sum(images for images, _ in taken) / sum(seconds for _, seconds in taken)


def _loading(training: Any, options: TrainingOptions, device: Any, seconds: float) -> list[tuple[int, float]]:
    """(images, seconds) of each batch after the first."""
    import torch

    from spikebench.data import batches

    order = torch.randperm(training.samples, generator=torch.Generator().manual_seed(0)).split(options.batch_size)  # type: ignore[no-untyped-call]
    # A data set of one batch is taken twice: the first time does not count.
    several = list(order) if len(order) > 1 else list(order) * 2
    taken: list[tuple[int, float]] = []
    running = batches(training.examples.of_epoch(0), options.batch_size, device, several, options.workers)
    next(running)
    begun = start = time.perf_counter()
    for _, y in running:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        now = time.perf_counter()
        taken.append((len(y), now - start))
        start = now
        if now - begun > seconds:
            break
    return taken


def _stepping(training: Any, options: TrainingOptions, seconds: float) -> list[tuple[int, float]]:
    """(images, seconds) of each step after the first, all of them whole batches."""
    size = min(options.batch_size, training.samples)
    first = training.time_steps(2)
    count = max(1, min(int(seconds / max(first[-1], 1e-6)), training.samples // size))
    return [(size, spent) for spent in training.time_steps(count)]
