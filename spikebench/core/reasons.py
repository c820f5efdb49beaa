"""Why there is no number: an exception, or somebody else's text, as one line that a record can keep."""

from __future__ import annotations

from spikebench.core.errors import SpikebenchError
from spikebench.core.text import printable

LONGEST = 2048
"""Bytes (UTF-8) of a reason: enough for any message, and a thousand failures still make a table."""


def one_line(text: str) -> str:
    """``text`` as one printable line of at most ``LONGEST`` bytes; what is cut off is marked with ``...``."""
    # Cut before anything else looks at it: an exception's text may have megabytes.
    line = " ".join(printable(text[: 4 * LONGEST]).split())
    encoded = line.encode()
    if len(encoded) <= LONGEST and len(text) <= 4 * LONGEST:
        return line
    return encoded[: LONGEST - 3].decode("utf-8", "ignore") + "..."


def explain(error: BaseException) -> str:
    """An exception in one line. One of our own says all that it has to say, any other its type and its first line."""
    try:
        text = str(error).strip()
    except Exception as broken:
        text = f"its message cannot be shown ({type(broken).__name__})"
    if isinstance(error, SpikebenchError):
        return one_line(" | ".join(text[: 4 * LONGEST].splitlines()))
    first = text[: 4 * LONGEST].splitlines()[:1]
    return one_line(f"{type(error).__name__}: {first[0] if first else 'no message'}")
