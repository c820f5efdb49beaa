"""From results folders to reports: choose sections, make the document, hand it to the formats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikebench.core.console import standard_output
from spikebench.core.garbage import not_searched, set_aside
from spikebench.core.registry import REGISTRIES
from spikebench.reading.model.frame import Frame, load_results
from spikebench.reading.model.tested import only_tested
from spikebench.reading.reports.document import Block, Document, Heading, Number, Table, Text
from spikebench.reading.reports.trial_table import searches

if TYPE_CHECKING:
    from rich.console import Console


def make(
    folders: Sequence[str | Path],
    sections: Sequence[str] | None = None,
    formats: Sequence[str] | None = None,
    out: str | Path | None = None,
    frame: Frame | None = None,
) -> list[Path]:
    """Write a report of the results in ``folders`` and return its files.

    Without ``formats``, the terminal and those that the suite asks for; without ``sections``, all that have something to say;
    without ``out``, into ``report/`` of the first folder. ``frame``: what was read of the folders just now. Raises InputError for
    unknown names, StorageError for folders that cannot be read or written.
    """
    frame = load_results(*folders) if frame is None else frame
    chosen = [REGISTRIES["formats"].get(name)() for name in (["terminal", *frame.suite.formats] if formats is None else formats)]
    report = document(frame, sections)
    target = Path(out) if out is not None else Path(folders[0]) / "report"
    with set_aside():
        return [path for writer in chosen for path in writer.write(report, target)]


@not_searched()
def show(frame: Frame, screen: Console | None = None) -> None:
    """Print the tables that a run ends with: the comparison and what failed; see ``document``."""
    from spikebench.reading.reports.formats.terminal import show as print_document

    print_document(document(frame, brief=True), screen or standard_output())


@not_searched()
def document(frame: Frame, sections: Sequence[str] | None = None, brief: bool = False) -> Document:
    """The report as data. ``brief``: only the sections that are worth a terminal after every run; where these have no number
    (a suite that measures none of what they compare), the tables that the other ones have it in."""
    blocks: list[Block] = [Text(notice, "warning") for notice in (*frame.notices, *frame.remarks)]
    said = len(blocks)
    chosen = _sections(sections)
    winners = only_tested(frame, searches(frame))
    first = [member for member in chosen if not brief or getattr(member[1], "brief", False)]
    for name, section in first:
        blocks += _under(name, section, section(frame if getattr(section, "trials", False) else winners))
    if brief and not any(map(_has_numbers, blocks)):
        for name, section in (member for member in chosen if member not in first):
            found = section(frame if getattr(section, "trials", False) else winners)
            blocks += _under(name, section, list(filter(_has_numbers, found)))
    if len(blocks) == said:
        blocks.append(Text("There are no results to report yet."))
    return Document(frame.suite.name or "results", tuple(blocks), facts(frame))


def _under(name: str, section: Any, found: Sequence[Block]) -> Sequence[Block]:
    return [Heading(getattr(section, "title", name)), *found] if found else []


def _has_numbers(block: Block) -> bool:
    return isinstance(block, Table) and any(isinstance(cell, Number) for row in block.rows for cell in row.cells)


def facts(frame: Frame) -> dict[str, str]:
    """Where the numbers come from, for the small print."""
    found = {}
    if frame.machines:
        found["machines"] = "; ".join(sorted({frame.machine_name(machine_id) for machine_id in frame.machines}))
    versions = sorted({_version(source) for source in frame.sources.values()})
    if versions:
        found["spikebench"] = "; ".join(versions)
    weights = [cell["weights"] for cell in frame.cells.values() if cell.get("weights")]
    quirks = sorted({f"{given['layout']}: {given['quirks']}" for given in weights if given.get("quirks")})
    if quirks:
        found["quirks of released code"] = "; ".join(quirks)
    return found


def _sections(names: Sequence[str] | None) -> list[tuple[str, Any]]:
    registry = REGISTRIES["sections"]
    members = [(name, registry.get(name)()) for name in (registry.names() if names is None else names)]
    return members if names is not None else sorted(members, key=lambda member: (getattr(member[1], "order", 1000), member[0]))


def _version(source: object) -> str:
    facts = dict(source) if isinstance(source, dict) else {}
    commit = str(facts.get("commit") or "")[:8]
    parts = [str(facts.get("spikebench", "unknown version"))]
    if commit:
        parts.append(f"({commit})")
    if facts.get("dirty"):
        parts.append("with local changes")
    return " ".join(parts)
