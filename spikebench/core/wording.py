"""What pydantic found wrong, in the words of this project: what was expected, what was got, and what was probably meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from spikebench.core.errors import nearest
from spikebench.core.text import shorten

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a whole number below 2^63",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "mapping_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dataclass_type": "a mapping",
    "none_required": "nothing",
}
_LIMITS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "above"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "below"),
}


def reword(detail: Mapping[str, Any]) -> str:
    """The message of one entry of ``ValidationError.errors()``; its place (``loc``) is left to the caller."""
    kind, context, got = detail["type"], detail.get("ctx", {}), detail["input"]
    if kind == "missing":
        return f"the key {detail['loc'][-1]!r} is missing"
    if kind == "value_error":
        return str(detail["msg"]).removeprefix("Value error, ")
    if kind in ("too_short", "too_long"):
        limit = context.get("min_length", context.get("max_length"))
        bound = "at least" if kind == "too_short" else "at most"
        return f"expected {bound} {limit} item{'s' if limit != 1 else ''}, got {context.get('actual_length') or 'none'}"
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"must be {words} {context[name]}, got {shorten(got)}"
    if kind == "literal_error":
        known = [part.strip().strip("'\"") for part in context["expected"].replace(" or ", ", ").split(",")]
        return f"expected {context['expected']}, got {shorten(got)}{nearest(got, known).partition(' (known')[0]}{yaml_hint(got)}"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, got {shorten(got)}{yaml_hint(got)}"
    message = str(detail["msg"]).replace("Input should be", "expected").replace("a valid ", "a ")
    return f"{message}, got {shorten(got)}"


def either(messages: list[str]) -> str:
    """What none of several alternatives took, in one sentence: ``expected text or a mapping, got 5``."""
    halves = [message.partition(", got ") for message in dict.fromkeys(messages)]
    if all(first.startswith("expected ") and got for first, got, _ in halves):
        kinds = dict.fromkeys(first.removeprefix("expected ") for first, _, _ in halves)
        return f"expected {' or '.join(kinds)}, got {halves[0][2]}"
    return "; ".join("".join(half) for half in halves)


def yaml_hint(value: Any) -> str:
    """What a person probably meant where YAML 1.1 read something else: ``1e-3`` is text there, ``no`` is False."""
    if isinstance(value, bool):
        return " (YAML reads yes, no, on and off as true and false: put quotes around a word)"
    if not isinstance(value, str):
        return ""
    try:
        number = float(value)
    except ValueError:
        return ""
    whole = number.is_integer() and abs(number) < 2**53 and "." not in value and "e-" not in value.lower()
    return f" (YAML reads it as text: write {int(number) if whole else repr(number)})"
