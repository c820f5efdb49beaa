"""Text from outside is never markup: every console is made in one place, and none of them reads markup."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from spikebench.core.console import standard_error, standard_output

PACKAGE = Path(__file__).resolve().parents[2] / "spikebench"
REASON = "[/red] [enforce fail at alloc_cpu.cpp:118] [bold]x[/bold] :warning: 12"


def test_no_console_is_made_elsewhere_and_no_markup_is_read() -> None:
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text()
        if path.name != "console.py":
            assert not re.search(r"\bConsole\(", text), path
        assert not re.search(r"from_markup|markup=True|rich\.markup", text), path
        for column in re.findall(r"TextColumn\(.*\)", text):
            assert "markup=False" in column, path


@pytest.mark.parametrize("make", [standard_output, standard_error])
def test_what_is_printed_is_what_was_given(make, capfd: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    console = make()
    console.print(REASON, soft_wrap=True)
    table = Table(title=REASON, show_header=False, box=None)
    table.add_row(REASON)
    console.print(table)
    printed = "".join(capfd.readouterr())
    assert printed.count("[/red]") == 3
    assert "[enforce fail at alloc_cpu.cpp:118] [bold]x[/bold] :warning: 12" in printed
