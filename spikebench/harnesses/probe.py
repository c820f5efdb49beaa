"""Linear probe: logistic regression on the frozen tokens' mean, what it has learned (MAE, arXiv 2111.06377)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from spikebench.core.metrics import Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record

PROBE_ACCURACY = Metric(
    "probe_accuracy",
    "1",
    "higher",
    "measured",
    "Linear probe",
    display_unit="%",
    display_factor=100.0,
    digits=2,
    tolerance=0.01,
    note="test split, logistic regression on the mean of the tokens over places and time",
)


class Harness:
    """The network is not trained; its tokens are read in evaluation mode, in fp32."""

    @dataclass(frozen=True)
    class Options:
        """``labels``: training images with one, as in ``train``; null: all. ``C``: inverse strength of the L2 penalty."""

        labels: tuple[int | None, ...] = (None,)
        C: float = 1.0

        def __post_init__(self) -> None:
            if not self.labels or any(number is not None and number < 1 for number in self.labels) or not self.C > 0:
                raise ValueError("labels must be at least 1, or null, and C above 0")

    metrics = (PROBE_ACCURACY,)
    version = 1
    needs_weights = True
    exclusive = False
    resumes = False
    stage = False

    def run(self, subject: Subject, options: Options) -> Iterator[Record]:
        """One record for each of ``labels``, with conditions ``labels`` and ``split``; absent for a network without tokens."""
        from sklearn.linear_model import LogisticRegression

        from spikebench.harnesses._probes.measure import measure

        def classifier(labels: int) -> Any:
            return LogisticRegression(C=options.C, max_iter=1000)

        yield from measure(PROBE_ACCURACY, subject, options.labels, classifier, {})
