"""Findings of audits as blocks of a document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from spikebench.core.findings import Finding
from spikebench.reading.reports.document import Absent, Block, Cell, Column, Footnotes, Label, Outcome, Row, Table, Verdict

OUTCOMES: Mapping[str, Outcome] = {"pass": "pass", "fail": "fail", "not applicable": "skipped", "could not tell": "inconclusive"}
SHORT = {"pass": "pass", "fail": "FAIL", "not applicable": "n/a", "could not tell": "?"}


def blocks(audits: Mapping[str, Sequence[Finding]]) -> list[Block]:
    """Of each network its verdicts in one row, and what failed or could not be told, with figure, first layer and meaning."""
    audits = {name: found for name, found in audits.items() if found}
    if not audits:
        return []
    return [*_verdicts(audits), *_faults(audits)]


def _verdicts(audits: Mapping[str, Sequence[Finding]]) -> list[Block]:
    """One network reads better downwards, several beside each other."""
    if len(audits) == 1:
        ((name, found),) = audits.items()
        heads = (
            Column("check", "check", numeric=False),
            Column("verdict", "verdict", numeric=False),
            Column("figure", "figure", numeric=False),
            Column("figure_is", "of what", numeric=False),
        )
        rows = tuple(Row((Label(one.check), _verdict(one), Label(_figure(one)), Label(one.figure_is))) for one in found)
        return [Table("audit", f"{name}: {_said(found)}", heads, rows)]
    return [_matrix(audits)]


def _matrix(audits: Mapping[str, Sequence[Finding]]) -> Table:
    checks = list(dict.fromkeys(one.check for found in audits.values() for one in found))
    heads = [Column("network", "network", numeric=False)]
    heads += [Column(check, check.replace("_", ", "), numeric=False) for check in checks]
    notes = Footnotes()
    rows = []
    for name, found in audits.items():
        by_check = {one.check: one for one in found}
        cells: list[Cell] = [Label(name)]
        for check in checks:
            one = by_check.get(check)
            cells.append(Absent(notes.mark("It was not asked for, or its audit failed.")) if one is None else _verdict(one))
        rows.append(Row(tuple(cells)))
    failed = sum(one.failed for found in audits.values() for one in found)
    said = f"{len(audits)} networks, {failed} failed checks; n/a: does not apply, ?: could not tell."
    return Table("audit", said, tuple(heads), tuple(rows), tuple(notes.texts))


def _faults(audits: Mapping[str, Sequence[Finding]]) -> list[Block]:
    """Networks in which a check says the same share a row."""
    rows: dict[tuple[str, str, str, str], list[str]] = {}
    for name, found in audits.items():
        for one in found:
            if one.verdict in ("fail", "could not tell"):
                rows.setdefault((one.check, one.verdict, one.layer, one.sentence), []).append(name)
    if not rows:
        return []
    heads = [Column("check", "check", numeric=False), Column("verdict", "verdict", numeric=False)]
    heads += [Column("layer", "first layer", numeric=False), Column("meaning", "what it means", numeric=False)]
    if len(audits) > 1:
        heads.append(Column("networks", "networks", numeric=False))
    body = []
    for (check, verdict, layer, sentence), names in rows.items():
        cells: list[Cell] = [Label(check), Verdict(OUTCOMES[verdict], "", verdict), Label(layer), Label(sentence)]
        if len(audits) > 1:
            cells.append(Label(", ".join(names[:3]) + (f", and {len(names) - 3} more" if len(names) > 3 else "")))
        body.append(Row(tuple(cells)))
    return [Table("audit-faults", "", tuple(heads), tuple(body), labels=len(heads))]


def _said(found: Sequence[Finding]) -> str:
    counts = {verdict: sum(one.verdict == verdict for one in found) for verdict in OUTCOMES}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)


def _verdict(one: Finding) -> Verdict:
    return Verdict(OUTCOMES[one.verdict], one.sentence, SHORT[one.verdict])


def _figure(one: Finding) -> str:
    if one.figure is None:
        return ""
    whole = one.figure == int(one.figure) and abs(one.figure) < 1e15
    return f"{int(one.figure):,}" if whole else f"{one.figure:.3g}"
