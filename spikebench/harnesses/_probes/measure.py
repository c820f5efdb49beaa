"""A classifier on frozen features, trained on some labels, judged on the test split."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from spikebench.core.metrics import Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record, Scalar

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def measure(
    metric: Metric,
    subject: Subject,
    labels: tuple[int | None, ...],
    classifier: Callable[[int], Any],
    conditions: dict[str, Scalar],
) -> Iterator[Record]:
    """One record for each number of labels, for which ``classifier`` makes one. Samples are 1 (right) or 0 in the split's order.

    Features are standardised by the mean and deviation of all training images: no label is in those.
    """
    from spikebench.data import resident
    from spikebench.training.features import features
    from spikebench.training.labels import labelled

    train = resident(subject.dataset.split("train"), subject.device)
    try:
        known, _ = features(subject.model, train, subject.device)
        x, y = features(subject.model, resident(subject.dataset.split("test"), subject.device), subject.device)
    except ValueError as error:
        for number in labels:
            yield Record.absent(metric, str(error), conditions={**conditions, "labels": _spell(number), "split": "test"})
        return
    mean, deviation = known.mean(0), known.std(0) + 1e-6
    for number in labels:
        given, answers = features(subject.model, labelled(train, number, subject.job.cell.seed), subject.device)
        fitted = classifier(len(answers)).fit((given - mean) / deviation, answers)
        right: NDArray[np.bool_] = fitted.predict((x - mean) / deviation) == y
        yield Record.of(
            metric,
            float(right.mean()),
            conditions={**conditions, "labels": _spell(number), "split": "test"},
            samples=right.astype(int).tolist(),
        )


def _spell(labels: int | None) -> Scalar:
    return "all" if labels is None else labels
