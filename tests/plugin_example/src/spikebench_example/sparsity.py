"""The fraction of weights that are exactly zero, as pruning leaves them (an example)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spikebench.core.metrics import Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record

ZERO_WEIGHTS = Metric(
    "zero_weights",
    "1",
    "higher",
    "counted",
    "Zero weights",
    display_unit="%",
    display_factor=100.0,
    exact=True,
    note="of matrices and kernels",
    headline=70,  # a column of every report's first table
)


class Harness:
    """Looks at weights alone: nothing is run."""

    @dataclass(frozen=True)
    class Options:
        """``threshold``: weights up to this size count as zero."""

        threshold: float = 0.0

        def __post_init__(self) -> None:
            if self.threshold < 0:
                raise ValueError("threshold must be at least 0")

    metrics = (ZERO_WEIGHTS,)
    version = 1
    needs_weights = True
    exclusive = False
    resumes = False
    stage = False

    def run(self, subject: Subject, options: Options) -> Iterator[Record]:
        """One record."""
        weights = [parameter.detach() for parameter in subject.model.parameters() if parameter.dim() > 1]
        zeros = sum(int((weight.abs() <= options.threshold).sum()) for weight in weights)
        yield Record.of(ZERO_WEIGHTS, zeros / sum(weight.numel() for weight in weights))
