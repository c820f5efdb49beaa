"""Nearest neighbours by cosine of the frozen tokens' mean: features judged without training (DINO, arXiv 2104.14294)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spikebench.core.metrics import Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record

KNN_ACCURACY = Metric(
    "knn_accuracy",
    "1",
    "higher",
    "measured",
    "Nearest neighbours",
    display_unit="%",
    display_factor=100.0,
    digits=2,
    tolerance=0.01,
    note="test split, votes of the k nearest training images by cosine, weighted by nearness",
)


class Harness:
    """The network is not trained; its tokens are read in evaluation mode, in fp32."""

    @dataclass(frozen=True)
    class Options:
        """``labels``: how many training images have one, as in ``train``; null: all. ``k``: how many neighbours vote, if so many
        are there.
        """

        labels: tuple[int | None, ...] = (None,)
        k: int = 20

        def __post_init__(self) -> None:
            if not self.labels or any(number is not None and number < 1 for number in self.labels) or self.k < 1:
                raise ValueError("labels must be at least 1, or null, and k at least 1")

    metrics = (KNN_ACCURACY,)
    version = 1
    needs_weights = True
    exclusive = False
    resumes = False
    stage = False

    def run(self, subject: Subject, options: Options) -> Iterator[Record]:
        """One record for each of ``labels``, with ``labels``, ``k`` and ``split``; absent for a network without tokens."""
        from sklearn.neighbors import KNeighborsClassifier

        from spikebench.harnesses._probes.measure import measure

        def classifier(labels: int) -> Any:
            return KNeighborsClassifier(min(options.k, labels), weights="distance", metric="cosine")

        yield from measure(KNN_ACCURACY, subject, options.labels, classifier, {"k": options.k})
