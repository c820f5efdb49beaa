"""Where the keys of a TOML file stand; the standard library's reader does not say."""

from __future__ import annotations

import re

_TABLE = re.compile(r"\s*\[+\s*(?P<name>[^\[\]]+?)\s*\]+")
_KEY = re.compile(r"\s*(?P<name>[\w\"'.-]+)\s*=")
_MARK = re.compile(r"\s*\(at line (?P<line>\d+), column (?P<column>\d+)\)")


def place(text: str, key: str) -> tuple[int, int]:
    """(line, column) of a dotted key, else of the nearest table around it, else of the first line.

    Keys inside a value that goes over several lines are not told apart; they stand where the value does.
    """
    found: dict[str, tuple[int, int]] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if match := _TABLE.match(line):
            table = match["name"]
            found.setdefault(table, (number, match.start("name") + 1))
        elif match := _KEY.match(line):
            name = match["name"].strip("\"'")
            found.setdefault(f"{table}.{name}" if table else name, (number, match.start("name") + 1))
    while key and key not in found:
        key = key.rpartition(".")[0]
    return found.get(key, (1, 1))


def syntax_error(message: str, text: str) -> tuple[str, int, int]:
    """What ``TOMLDecodeError`` says, without the place, and the place."""
    match = _MARK.search(message)
    if match is None:  # "(at end of document)"
        return message.replace("end of document", "the end of the file"), max(1, len(text.splitlines())), 1
    return _MARK.sub("", message), int(match["line"]), int(match["column"])
