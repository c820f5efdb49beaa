"""Text from outside (a suite, a checkpoint, an exception, somebody's package) as it may be shown to a person."""

from __future__ import annotations

import re
from typing import Any

_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[@-Z\\-_]?")
"""What a terminal obeys: colours and cursor moves (CSI), titles and links (OSC), two-character commands (ECMA-48)."""
_UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and line feed, marks that turn the direction of writing, and halves of surrogate pairs."""


def printable(text: str) -> str:
    """``text`` without what a terminal would obey or a file could not hold; U+2028 and U+2029 become line feeds."""
    return _UNSEEN.sub("", _ESCAPE.sub("", text)).replace("\u2028", "\n").replace("\u2029", "\n")


def unseen(text: str) -> str | None:
    """The first character of ``text`` that cannot be shown, as ``U+001B``; None if all can."""
    found = _UNSEEN.search(text)
    return None if found is None else f"U+{ord(found[0]):04X}"


def defused(words: str) -> str:
    """Text that a spreadsheet would take for a formula gets an apostrophe in front (OWASP, CSV injection); a number is none."""
    if not words.startswith(("=", "+", "-", "@", "\t", "\r")):
        return words
    try:
        float(words)
    except ValueError:
        return f"'{words}"
    return words


def shorten(value: Any, longest: int = 60) -> str:
    """``repr`` of a value for a message, cut to ``longest`` characters."""
    text = printable(repr(value))
    return text if len(text) <= longest else f"{text[: longest - 3]}..."
