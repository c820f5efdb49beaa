"""Accuracy on the test split after the last epoch, with every sample's correctness kept for paired tests.

A network trained with T steps also runs with others: how accuracy falls with fewer steps, without retraining, is the
latency-accuracy trade of Spikformer's Table 5 (arXiv 2209.15425) at no cost.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spikebench.core.errors import InputError
from spikebench.core.metrics import Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record, Scalar
from spikebench.harnesses._files import METRICS, told

ACCURACY = Metric(
    "accuracy",
    "1",
    "higher",
    "measured",
    "Accuracy",
    display_unit="%",
    display_factor=100.0,
    digits=2,
    tolerance=0.01,
    note="test split, last epoch, top-1",
    headline=10,
)


class Harness:
    """Always in fp32, whatever the training's precision was."""

    @dataclass(frozen=True)
    class Options:
        """``T``: time steps to evaluate with, besides the cell's own. ``batch_size`` changes speed and memory alone."""

        T: tuple[int, ...] = ()
        batch_size: int = 256
        workers: int = 0

        def __post_init__(self) -> None:
            if any(steps < 1 for steps in self.T) or self.batch_size < 1 or self.workers < 0:
                raise ValueError("T and batch_size must be at least 1, workers at least 0")

    metrics = (ACCURACY, *METRICS)
    version = 1
    needs_weights = True
    exclusive = False
    resumes = False
    stage = False

    def run(self, subject: Subject, options: Options) -> Iterator[Record]:
        """One record per T, the cell's own first; conditions ``T``, ``split``; samples are 1 (right) or 0 in its order.

        Unavailable for a T that the network cannot run with; the others go on.
        """
        from spikebench.data import resident
        from spikebench.training.evaluation import evaluate

        model, own = subject.model, subject.job.cell.variant.T
        split = resident(subject.dataset.split("test"), subject.device)
        for T in dict.fromkeys((own, *options.T)):
            conditions: dict[str, Scalar] = {"T": T, "split": "test"}
            if own != T and subject.dataset.inputs.events:
                reason = "event frames come with their own number of time steps"
                yield Record.absent(ACCURACY, reason, conditions=conditions)
                continue
            try:
                model.T = T
            except InputError as error:  # a component with parameters for each step, or without steps
                reason = "; ".join(dict.fromkeys(problem.message for problem in error.problems))
                yield Record.absent(ACCURACY, reason, conditions=conditions)
                continue
            try:
                found = evaluate(model, split, subject.device, options.batch_size, workers=options.workers)
            finally:
                model.T = own
            yield Record.of(ACCURACY, found.accuracy, conditions=conditions, samples=found.correct.int().tolist())
        yield from told(subject.dataset, "test", split)
