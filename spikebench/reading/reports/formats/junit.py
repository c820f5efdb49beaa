"""JUnit XML of a gate's verdicts, which every CI service shows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from spikebench.core.errors import InputError
from spikebench.reading.reports.document import Document, Label, Table, Verdict
from spikebench.reading.reports.formats._files import write


class Format:
    """``junit.xml``. Raises InputError for a document without verdicts: a report judges nothing."""

    verdicts_only = True

    def write(self, document: Document, folder: Path) -> Sequence[Path]:
        return [write(folder / "junit.xml", text(document))]


def text(document: Document) -> bytes:
    """One test case per row with a verdict; its name is the row's words. Inconclusive is an error, not a failure."""
    cases = [case for table in document.tables() for case in _cases(table)]
    if not cases:
        raise InputError("junit writes a gate's verdicts, and this document has none; use it with `spikebench check`")
    counts = {outcome: sum(verdict.outcome == outcome for _, verdict in cases) for outcome in ("fail", "inconclusive", "skipped")}
    suite = ElementTree.Element(
        "testsuite",
        name=_printable(document.title),
        tests=str(len(cases)),
        failures=str(counts["fail"]),
        errors=str(counts["inconclusive"]),
        skipped=str(counts["skipped"]),
    )
    for name, verdict in cases:
        case = ElementTree.SubElement(suite, "testcase", classname=_printable(document.title), name=_printable(name))
        if verdict.outcome != "pass":
            tag = {"fail": "failure", "inconclusive": "error", "skipped": "skipped"}[verdict.outcome]
            ElementTree.SubElement(case, tag, message=_printable(verdict.message)).text = _printable(verdict.message)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    written: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _cases(table: Table) -> list[tuple[str, Verdict]]:
    found = []
    for row in table.rows:
        words = " ".join(cell.text for cell in row.cells if isinstance(cell, Label))
        found += [(words, cell) for cell in row.cells if isinstance(cell, Verdict)]
    return found


def _printable(text: str) -> str:
    """XML has no way to write control characters."""
    return "".join(character if character.isprintable() or character in "\n\t" else "?" for character in text)
