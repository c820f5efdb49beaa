"""JSON as it is read from files that anything may have happened to: one exception for all that can be wrong with a text."""

from __future__ import annotations

import json
from typing import Any


def parse(text: str) -> Any:
    """The plain data of a JSON text. Raises ValueError for what is none: NaN and Infinity, a number of thousands of digits and
    brackets nested too deeply among them."""
    try:
        return _DECODER.decode(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def parse_object(text: str) -> dict[str, Any]:
    """As ``parse``, of a text that must be an object."""
    data = parse(text)
    if not isinstance(data, dict):
        raise ValueError(f"expected an object, got {type(data).__name__}")
    return data


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)
scan = _DECODER.raw_decode
"""``scan(text)`` -> the data of the JSON that ``text`` begins with, and where it ends. Raises ValueError and RecursionError: for
who reads a million lines and has ``parse`` for those that do not fit."""
