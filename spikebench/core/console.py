"""The one kind of console that spikebench prints to: what it is given is text, never markup or an emoji's name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def standard_output(width: int | None = None) -> Console:
    """Standard output. ``width``: of a console that is no terminal; rich's guess if not given."""
    return _console(stderr=False, width=None if sys.stdout.isatty() else width)


def standard_error(quiet: bool = False) -> Console:
    """Standard error, for how it goes; ``quiet``: for nobody."""
    return _console(stderr=True, width=None, quiet=quiet)


def recorder(width: int) -> Console:
    """Shown to nobody, of that many columns in full colour whatever the machine: what it was given can be exported."""
    import io

    from rich.console import Console

    return Console(
        record=True, file=io.StringIO(), width=width, force_terminal=True, color_system="truecolor",
        markup=False, emoji=False, highlight=False, legacy_windows=False, _environ={},
    )  # fmt: skip


def _console(stderr: bool, width: int | None, quiet: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, width=width, quiet=quiet, markup=False, emoji=False, highlight=False)
