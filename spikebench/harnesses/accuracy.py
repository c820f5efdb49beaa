"""Accuracy on the test split after the last epoch, with every sample's correctness kept for paired tests.

A network trained with T steps also runs with others: how accuracy falls with fewer steps, without retraining, is the
latency-accuracy trade of Spikformer's Table 5 (arXiv 2209.15425) at no cost.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
    note="test split, top-1",
    headline=10,
)
BEST_TEST_EPOCH = Metric(
    "accuracy_best_test_epoch",
    "1",
    "higher",
    "measured",
    "Accuracy, best test epoch",
    display_unit="%",
    display_factor=100.0,
    digits=2,
    tolerance=0.01,
    note="selected on the test set, as most published numbers are: it flatters, and is for comparison with them alone",
    headline=11,
)


class Harness:
    """Always in fp32, whatever the training's precision was."""

    @dataclass(frozen=True)
    class Options:
        """``T``: time steps to evaluate with, besides the cell's own. ``batch_size`` changes speed and memory alone.

        ``published_rule``: also the best epoch on the test set, as papers report. Their training then looks at it every epoch.
        """

        T: tuple[int, ...] = ()
        batch_size: int = 256
        workers: int = 0
        published_rule: bool = False

        @property
        def training(self) -> Mapping[str, Any]:
            """Options that the training must have."""
            return {"test_epochs": True} if self.published_rule else {}

        def __post_init__(self) -> None:
            if any(steps < 1 for steps in self.T) or self.batch_size < 1 or self.workers < 0:
                raise ValueError("T and batch_size must be at least 1, workers at least 0")

    metrics = (ACCURACY, BEST_TEST_EPOCH, *METRICS)
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
        if options.published_rule:
            yield _best_test_epoch(subject.weights_folder, own)
        yield from told(subject.dataset, "test", getattr(split, "unreadable", {}))


def _best_test_epoch(folder: Path, T: int) -> Record:
    from spikebench.training import checkpoints

    path = folder / checkpoints.TEST_EPOCHS
    conditions: dict[str, Scalar] = {"T": T, "split": "test"}
    if not path.exists():
        return Record.absent(BEST_TEST_EPOCH, "nothing was trained, so there are no epochs to choose from", conditions=conditions)
    return Record.of(BEST_TEST_EPOCH, max(checkpoints.read(path)), conditions=conditions)
