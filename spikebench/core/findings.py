"""What one check of an audit found in a network: plain data that making writes and reading shows."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Literal

Verdict = Literal["pass", "fail", "not applicable", "could not tell"]
VERDICTS: tuple[Verdict, ...] = ("pass", "fail", "not applicable", "could not tell")

METRIC, FIGURE, DETAIL = "audit", "audit_figure", "audit_detail"
"""Names of the metrics: 0 for a check that passed, 1 for one that failed; the check's number; its numbers by layer."""


@dataclasses.dataclass(frozen=True)
class Detail:
    """A number of one layer. ``of``: what it is a number of, where a check has several (``bf16``, ``t=0``)."""

    layer: str
    of: str
    value: float


@dataclasses.dataclass(frozen=True)
class Finding:
    """``check``: its name in the registry. ``figure``: the check's number, None where there is none; ``figure_is`` says of what.

    ``layer``: path of the first module, in order of execution, where it shows; "" where it shows in none, or in the whole.
    ``sentence``: what it means.
    """

    check: str
    verdict: Verdict
    sentence: str
    figure: float | None = None
    figure_is: str = ""
    layer: str = ""
    details: tuple[Detail, ...] = ()

    @property
    def failed(self) -> bool:
        return self.verdict == "fail"

    def to_plain(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        where = f" at {self.layer}" if self.layer else ""
        return f"{self.check}: {self.verdict}{where}: {self.sentence}"


def failed(findings: Iterable[Finding], named: Sequence[str]) -> list[str]:
    """Names of the checks that failed among those ``named``; ``all`` names every one."""
    return [found.check for found in findings if found.failed and ("all" in named or found.check in named)]
