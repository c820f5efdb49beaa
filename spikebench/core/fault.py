"""What is said when spikebench itself is at fault: an exception that nobody foresaw."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spikebench.core.reasons import explain

EXIT_CODE = 70
"""EX_SOFTWARE of sysexits.h; 1, with which Python ends on a traceback, would read as a regression."""


def describe(error: BaseException, arguments: Iterable[Any]) -> list[str]:
    """Lines for a person: what happened and where, which files it was about, and what to report.

    ``arguments``: those of the command; files and folders among them are named. The traceback goes to a file of its own.
    """
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "spikebench" in Path(frame.filename).parts] or frames
    where = f" ({'/'.join(Path(own[-1].filename).parts[-3:])}:{own[-1].lineno})" if own else ""
    files = [str(path) for path in _paths(arguments)]
    lines = [f"this is a fault of spikebench, not of yours: {explain(error)}{where}"]
    if files:
        lines.append(f"it came up with {', '.join(files)}")
    whole = "".join(traceback.format_exception(error)).encode("utf-8", "backslashreplace")
    try:
        with tempfile.NamedTemporaryFile(prefix="spikebench-fault-", suffix=".txt", delete=False) as stream:
            stream.write(whole)
        lines.append(f"please report it to the maintainers with {stream.name}, which has the whole traceback")
    except OSError:
        lines.append(f"please report it to the maintainers with this traceback:\n{whole.decode()}")
    return lines


def _paths(arguments: Iterable[Any]) -> Iterable[Path]:
    for argument in arguments:
        if isinstance(argument, Path):
            yield argument
        elif isinstance(argument, (list, tuple)):
            yield from _paths(argument)
