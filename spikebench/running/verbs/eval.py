"""What the verb ``eval`` does: measure somebody else's checkpoint without training it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from spikebench.core import yaml_nodes
from spikebench.core.errors import InputError, Problem
from spikebench.core.suite_reader import from_document
from spikebench.core.text import shorten
from spikebench.running.jobs import rules
from spikebench.running.run.runner import bind
from spikebench.running.verbs.run import finish


def evaluate(
    checkpoint: Path,
    weights: Mapping[str, Any],
    dataset: str,
    changes: Sequence[str],
    measure: Sequence[str],
    results: Path,
    fresh: bool,
) -> bool:
    """Run a suite of one cell whose weights are the checkpoint's. Returns whether a job failed.

    ``weights``: the rest of a suite's ``weights`` block: layout, num_heads, ema. ``dataset`` and ``measure`` are spelled as in
    a suite, in YAML: ``{cifar10: {root: data}}``. ``changes``: FIELD=VALUE of the variant. Raises InputError for a checkpoint
    of another layout and for all that a suite could have wrong.
    """
    data: dict[str, Any] = {
        "suite": f"eval-{re.sub(r'[^A-Za-z0-9._-]', '-', checkpoint.stem)[:90]}",
        "question": f"What does {checkpoint.name} achieve, and what does it cost?",
        "dataset": parse_value(dataset, "--dataset"),
        "weights": {"path": str(checkpoint.resolve()), **weights},
        "train": "none",
        "measure": [parse_value(text, "--measure") for text in measure],
    }
    if changes:
        data["variants"] = {"grid": {name: [value] for name, value in parse_changes(changes).items()}}
    document = yaml_nodes.parse(yaml.safe_dump(data, sort_keys=False), "<command line>")
    try:
        suite = from_document(document, rules)
    except InputError as error:
        # Lines and columns of a file that nobody wrote would only confuse.
        raise InputError([replace(problem, file=None, line=None, column=None) for problem in error.problems]) from None
    return finish(bind(suite, results / suite.name, fresh))


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
