"""Values and changes as they are given on a command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from spikebench.core import yaml_nodes
from spikebench.core.errors import InputError, Problem
from spikebench.core.text import shorten


def parse_changes(changes: Sequence[str]) -> Mapping[str, Any]:
    """FIELD=VALUE pairs, values as YAML. Raises InputError for what is none."""
    parsed = {}
    for change in changes:
        name, equals, value = change.partition("=")
        if not equals:
            raise InputError(Problem(f"expected FIELD=VALUE, got {shorten(change)}", key="--set"))
        parsed[name.strip()] = parse_value(value, f"--set {name}")
    return parsed


def parse_value(text: str, what: str) -> Any:
    """YAML on a command line, as the value of the option ``what``. Raises InputError."""
    try:
        document = yaml_nodes.parse(text)
        problems = document.problems
    except InputError as error:
        problems = list(error.problems)
    if problems:
        # Of one value on a command line, no line and column need be told.
        raise InputError([replace(problem, key=what, file=None, line=None, column=None) for problem in problems])
    return document.data
