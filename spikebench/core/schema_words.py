"""What a key of a suite takes, in a few words, from its JSON Schema: for listings and the guide."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_KINDS = {
    "integer": "whole number",
    "number": "number",
    "string": "text",
    "boolean": "true or false",
    "null": "null",
    "object": "mapping",
}
YAML_WORDS = frozenset({"null", "yes", "no", "on", "off", "true", "false", "y", "n", "~"})
_LIMITS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most", "exclusiveMaximum": "below"}


def takes(schema: Mapping[str, Any]) -> str:
    """``whole number, at least 1``; ``auto, bf16 or off``; ``list of text``. ``any`` where everything goes."""
    if "const" in schema:
        return _value(schema["const"])
    if "enum" in schema:
        return _either([_value(value) for value in schema["enum"]])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return _either([takes(option) for option in schema[key]])
    if "x-registry" in schema:
        return f"name (`list {schema['x-registry']}`)"
    if "$ref" in schema:
        return "mapping"
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("prefixItems")
        inner = _either(list(map(takes, items))) if items else takes(schema.get("items") or {})
        return f"list of {_plural(inner)}" if inner != "any" else "list"
    words = _KINDS.get(str(kind), "any")
    limits = [f"{word} {schema[key]}" for key, word in _LIMITS.items() if key in schema and abs(schema[key]) < 2**62]
    return ", ".join([words, *limits])


def spell(value: Any) -> str:
    """A default as a suite would write it."""
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(spell, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {spell(item)}' for key, item in value.items())}}}"
    return _value(value)


def _value(value: Any) -> str:
    text = value if isinstance(value, str) and value else json.dumps(value, default=str)
    # YAML 1.1 reads 1e-05 as text, and a word that means true, false or nothing as that.
    if isinstance(value, float) and "e" in text and "." not in text:
        text = text.replace("e", ".0e")
    return f'"{text}"' if isinstance(value, str) and text.casefold() in YAML_WORDS else text


def _either(options: list[str]) -> str:
    *first, last = dict.fromkeys(options)
    return f"{', '.join(first)} or {last}" if first else last


def _plural(words: str) -> str:
    for kind in ("whole number", "number", "mapping", "name"):
        if words == kind or words.startswith((f"{kind},", f"{kind} (")):
            return f"{kind}s{words.removeprefix(kind)}"
    return words
