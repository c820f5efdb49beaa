"""What the verb ``guide`` prints: the topics in ``spikebench/guide``, which the repository shows too."""

from __future__ import annotations

import re
from pathlib import Path

from spikebench.core.console import standard_output
from spikebench.core.errors import InputError, nearest

FOLDER = Path(__file__).resolve().parents[2] / "guide"
"""A Markdown file for each topic; ``README.md`` is the table of contents."""


def topics() -> list[str]:
    """Their names, in the order of the table of contents."""
    return re.findall(r"^\| \[([\w-]+)\]\(", text(None), re.M)


def text(topic: str | None) -> str:
    """A topic's Markdown; of the table of contents for None. Raises InputError for an unknown one, naming the nearest."""
    if topic is not None and topic not in topics():
        raise InputError(f"unknown topic {topic!r}{nearest(topic, topics())}")
    return (FOLDER / f"{topic or 'README'}.md").read_text(encoding="utf-8")


def print_topic(topic: str | None) -> None:
    """Rendered where a person reads it; as it is written where it is piped. Raises InputError."""
    written, screen = text(topic), standard_output()
    if not screen.is_terminal:
        print(written, end="")
        return
    from rich.markdown import Markdown

    screen.print(Markdown(written, code_theme="bw", hyperlinks=False), width=min(screen.width, 110))
