"""What ``spikebench list`` prints. Imports nothing of what it lists."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.core.console import standard_output
from spikebench.core.registry import REGISTRIES


def print_registries(names: Sequence[str], whole: bool) -> None:
    """One table a registry. ``whole``: descriptions as long as they are; else cut to a line."""
    from rich.table import Table
    from rich.text import Text

    screen = standard_output(width=160)
    for name in names:
        registry = REGISTRIES[name]
        members = registry.names()
        if not members and not whole:
            continue
        table = Table(title=f"{name}: {registry.what}", title_justify="left", box=None, padding=(0, 2, 0, 0), show_header=False)
        table.add_column(no_wrap=True, style="bold")
        table.add_column(no_wrap=not whole, overflow="ellipsis")
        for member in members:
            origin = registry.origin(member)
            suffix = "" if origin == "spikebench" else f" [from {origin}]"
            table.add_row(Text(member), Text(registry.describe(member) + suffix))
        screen.print(table)
        screen.print()
