"""What audits found, read back from records."""

from __future__ import annotations

from collections.abc import Iterable

from spikebench.core.findings import DETAIL, FIGURE, METRIC, VERDICTS, Detail, Finding, Verdict
from spikebench.core.records import Record

_WORST: tuple[Verdict, ...] = ("fail", "could not tell", "pass", "not applicable")


def findings_of(records: Iterable[Record]) -> list[Finding]:
    """One finding for each check of one variant, in the order of the records; of several seeds the worst."""
    by_cell: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        if record.metric in (METRIC, FIGURE, DETAIL):
            by_cell.setdefault((str(record.conditions.get("check")), record.cell_id), []).append(record)
    worst: dict[str, Finding] = {}
    for (check, _), own in by_cell.items():
        found = _finding(check, own)
        if found is not None and (check not in worst or _rank(found) < _rank(worst[check])):
            worst[check] = found
    return list(worst.values())


def _rank(found: Finding) -> int:
    return _WORST.index(found.verdict)


def _finding(check: str, records: list[Record]) -> Finding | None:
    told = next((record for record in records if record.metric == METRIC), None)
    if told is None or told.status == "failed":
        return None
    verdict: Verdict = "fail" if told.value else "pass"
    sentence = told.reason
    if told.value is None:
        verdict = next((v for v in VERDICTS if sentence.startswith(f"{v}: ")), "could not tell")
        sentence = sentence.removeprefix(f"{verdict}: ")
    figures = [record for record in records if record.metric == FIGURE and record.value is not None]
    details = [
        Detail(record.scope, str(record.conditions.get("of", "")), record.value)
        for record in records
        if record.metric == DETAIL and record.value is not None
    ]
    return Finding(
        check,
        verdict,
        sentence,
        figure=figures[0].value if figures else None,
        figure_is=figures[0].reason if figures else "",
        layer=next((record.scope for record in figures if record.scope), ""),
        details=tuple(details),
    )
