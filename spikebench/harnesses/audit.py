"""Does the network do what its paper says? Twelve checks, each with the first layer where a fault shows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from spikebench.core import findings
from spikebench.core.errors import nearest
from spikebench.core.metrics import Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record
from spikebench.core.registry import REGISTRIES

AUDIT = Metric(
    findings.METRIC, "1", "lower", "measured", "Failed check", digits=0, exact=True, note="0: the check passed, 1: it failed"
)
FIGURE = Metric(findings.FIGURE, "1", None, "measured", "Figure of a check", note="of what, says the check")
DETAIL = Metric(findings.DETAIL, "1", None, "measured", "Figure of a check, by layer", note="of what, says its condition ``of``")


class Harness:
    """Checks run copies of the network; it is left as it was."""

    @dataclass(frozen=True)
    class Options:
        """``checks``: only these (``spikebench list checks``). ``samples``: how many images of ``split``, evenly spaced;
        at least two, or nothing stands beside an image.
        """

        checks: tuple[str, ...] = ()
        samples: int = 4
        split: Literal["test", "validation"] = "test"

        def __post_init__(self) -> None:
            problems = [
                f"checks: unknown audit check {name!r}{nearest(name, REGISTRIES['checks'])}"
                for name in self.checks
                if name not in REGISTRIES["checks"]
            ]
            if len(set(self.checks)) < len(self.checks):
                problems.append("checks must not be named twice")
            if self.samples < 2:
                problems.append(f"samples must be at least 2, got {self.samples}")
            if problems:
                raise ValueError("\n".join(problems))

    metrics = (AUDIT, FIGURE, DETAIL)
    version = 1
    needs_weights = True
    exclusive = False
    resumes = False
    stage = False

    def run(self, subject: Subject, options: Options) -> Iterator[Record]:
        """Of each check its verdict; its figure, of the whole and of the first layer where it fails; its figures by layer.

        What does not apply or could not be told is a record without a value; its reason begins with the verdict.
        """
        from spikebench.auditing.audit import findings as ask
        from spikebench.auditing.patient import Patient

        for found in ask(Patient(subject.model, images(subject, options.split, options.samples)), options.checks):
            yield from records_of(found)


def images(subject: Subject, split: Literal["test", "validation"], samples: int) -> Any:
    """A batch of the data set on the subject's device, evenly spaced over the split."""
    from spikebench.data import batches, spread

    return next(iter(batches(spread(subject.dataset.split(split), samples), samples, subject.device)))[0]


def records_of(found: findings.Finding) -> Iterator[Record]:
    """A finding as records; ``core.findings`` says how it is read back."""
    where = {"check": found.check}
    if found.verdict in ("pass", "fail"):
        yield Record.of(AUDIT, int(found.failed), conditions=where, reason=found.sentence)
    else:
        yield Record.absent(AUDIT, f"{found.verdict}: {found.sentence}", conditions=where)
    if found.figure is not None:
        for scope in ("", found.layer) if found.failed and found.layer else ("",):
            yield Record.of(FIGURE, found.figure, scope=scope, conditions=where, reason=found.figure_is)
    seen: set[tuple[str, str]] = set()
    for detail in found.details:
        of, number = detail.of, 2
        while (detail.layer, of) in seen:
            of, number = f"{detail.of} {number}", number + 1
        seen.add((detail.layer, of))
        yield Record.of(DETAIL, detail.value, scope=detail.layer, conditions={**where, "of": of})
