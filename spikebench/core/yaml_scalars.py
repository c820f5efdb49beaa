"""What a single value of a YAML file means, and what is wrong with it where YAML 1.1 reads something that nobody meant."""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from spikebench.core.text import shorten, unseen

_TAG = "tag:yaml.org,2002:"
_WORDS = frozenset({"str", "timestamp", "value", "merge"})
"""Tags whose text is taken as it stands; a date is a word here."""
_OCTAL = re.compile(r"[-+]?0[0-9]+")


def scalar(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> tuple[Any, str | None]:
    """The value of ``node``, and what is wrong with it or None; a wrong one is given as the text that stands there."""
    text = str(node.value)
    kind = node.tag.removeprefix(_TAG)
    if kind in _WORDS:
        bad = unseen(text)
        return text, f"holds the control character {bad}" if bad else None
    if kind == "int":
        return _whole(text, loader, node)
    if kind == "float":
        return _real(text, loader, node)
    if kind in ("bool", "null"):
        try:
            return loader.construct_object(node), None
        except KeyError:  # `!!bool maybe`
            return text, f"expected true or false, got {shorten(text)}"
    return text, f"{node.tag!r} is no kind of value here: write a word, a number, true, false, a list or a mapping"


def _whole(text: str, loader: yaml.SafeLoader, node: yaml.ScalarNode) -> tuple[Any, str | None]:
    digits = text.replace("_", "")
    if len(digits.lstrip("+-").removeprefix("0x").removeprefix("0b")) > 64:
        return text, f"a number of {len(digits):,} characters: expected a whole number below 2^63"
    try:
        value = int(loader.construct_object(node))
    except ValueError:
        return text, f"expected a whole number, got {shorten(text)}"
    if ":" in text:
        return text, f"YAML reads {text} as {value} (base 60): put quotes around it, or write {value}"
    if _OCTAL.fullmatch(digits):
        return text, f"YAML reads {text} as {value} (a leading zero means octal): write {int(digits)}"
    if not -(2**63) <= value < 2**63:
        return text, f"expected a whole number below 2^63 (about {2.0**63:.2g}), got {shorten(value)}"
    return value, None


def _real(text: str, loader: yaml.SafeLoader, node: yaml.ScalarNode) -> tuple[Any, str | None]:
    try:
        value = float(loader.construct_object(node))
    except ValueError:
        return text, f"expected a number, got {shorten(text)}"
    if ":" in text:
        return text, f"YAML reads {text} as {value:g} (base 60): put quotes around it, or write {value:g}"
    if not math.isfinite(value):
        return text, f"expected a finite number, got {shorten(text)}"
    return value, None
