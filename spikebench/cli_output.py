"""A document on standard output, for verbs that print nothing else; loaded when there is something to print."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spikebench.reading.reports.document import Document


def print_document(document: Document) -> None:
    from spikebench.core.console import standard_output
    from spikebench.reading.reports.formats.terminal import show

    show(document, standard_output())
