"""The shapes of what a results folder keeps beside its records. Files are other people's: they are checked when they are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.variant import COMPONENTS

Check = Callable[[Any], bool]


def check(kind: str, facts: Mapping[str, Any]) -> None:
    """``kind``: ``cells``, ``machines``, ``sources`` or ``datasets``. Raises ValueError naming the key that is absent or not
    what it should be.

    Keys that are not known are somebody's of tomorrow and may hold anything.
    """
    if missing := [key for key in _NEEDED.get(kind, ()) if key not in facts]:
        raise ValueError(f"no {missing[0]} in it")
    try:
        wrong = [key for key, fits in _SHAPES[kind].items() if key in facts and not fits(facts[key])]
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if wrong:
        raise ValueError(f"{wrong[0]} cannot be the {type(facts[wrong[0]]).__name__} that stands there")


def is_scalar(value: Any) -> bool:
    """Text, a truth value, nothing, or a number that a float can hold."""
    if type(value) in (int, float):
        try:
            return math.isfinite(value)
        except OverflowError:
            return False
    return value is None or isinstance(value, (str, bool))


def _is_choice(value: Any) -> bool:
    try:
        return all(map(is_plain, Choice.parse(value).options.values()))
    except InputError:
        return False


def is_plain(value: Any) -> bool:
    """A scalar, or a list or mapping of such things."""
    if isinstance(value, (list, tuple)):
        return all(map(is_plain, value))
    if isinstance(value, Mapping):
        return all(isinstance(key, str) for key in value) and all(map(is_plain, value.values()))
    return is_scalar(value)


def _is_variant(value: Any) -> bool:
    return isinstance(value, dict) and all(
        _is_choice(part) if name in COMPONENTS else is_scalar(part) for name, part in value.items()
    )


def _or_nothing(fits: Check) -> Check:
    return lambda value: value is None or fits(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return type(value) is int and is_scalar(value)


def _is_size(value: Any) -> bool:
    return _is_count(value) and value >= 0


def _is_shape(value: Any) -> bool:
    return isinstance(value, dict) and all(_is_size(value.get(key)) and value[key] for key in ("channels", "size", "classes"))


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_text, value))


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict) and is_plain(value)


def _is_mappings(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_mapping, value))


_SHAPES: Mapping[str, Mapping[str, Check]] = {
    "cells": {
        "cell_id": _is_text,
        "group_id": _is_text,
        "variant": _is_variant,
        "seed": _is_count,
        "dataset": _or_nothing(_is_choice),
        "training": _or_nothing(_is_choice),
        "pretraining": _or_nothing(_is_choice),
        "weights": _or_nothing(_is_mapping),
    },
    "machines": {
        "gpus": _is_texts,
        "instructions": _is_texts,
        **dict.fromkeys(("cpu", "threads", "cores", "torch", "cuda"), is_scalar),
    },
    "sources": {
        "plugins": _is_mapping,
        "metrics": _is_mappings,
        **dict.fromkeys(("spikebench", "commit", "dirty", "python"), is_scalar),
    },
    "datasets": {"dataset": _is_choice, "split": _is_text, "samples": _is_size, "inputs": _is_shape},
}
"""kind -> key -> whether a value fits."""
_NEEDED = {"cells": ("group_id",), "datasets": ("dataset", "split", "samples", "inputs")}
"""Keys that have to be there."""
