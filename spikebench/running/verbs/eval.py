"""What the verb ``eval`` does: measure somebody else's checkpoint without training it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from spikebench.core import yaml_nodes
from spikebench.core.console import standard_output
from spikebench.core.errors import InputError
from spikebench.core.suite import Suite
from spikebench.core.suite_reader import from_document
from spikebench.networks.layouts import LAYOUTS
from spikebench.reading.model.frame import load_results
from spikebench.reading.reports.document import Document
from spikebench.reading.reports.formats.terminal import show
from spikebench.reading.reports.quirks import difference
from spikebench.running.jobs import rules
from spikebench.running.run.runner import bind
from spikebench.running.verbs._given import parse_changes, parse_value
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

    ``weights``: the rest of a suite's ``weights`` block: layout, num_heads, ema, quirks. ``dataset`` and ``measure`` are spelled
    as in a suite, in YAML: ``{cifar10: {root: data}}``. ``changes``: FIELD=VALUE of the variant. Where the released code has
    known faults and ``quirks`` does not choose, the network is measured without them and with them, and the difference is
    printed. Raises InputError for a checkpoint of another layout and for all that a suite could have wrong.
    """
    layout = LAYOUTS.get(weights["layout"])
    asked = [weights["quirks"]] if "quirks" in weights else ["none", *(["released"] if layout and layout.quirks else [])]
    runs = {}
    for quirks in asked:
        suite = _suite(checkpoint, {**weights, "quirks": quirks}, dataset, changes, measure)
        runs[quirks] = bind(suite, results / suite.name, fresh)
    failed = [finish(run) for run in runs.values()]
    if len(runs) > 1 and layout is not None:
        frames = {quirks: load_results(run.store.path) for quirks, run in runs.items()}
        show(Document(f"{checkpoint.name} with and without quirks", tuple(difference(frames, layout.quirks))), standard_output())
    return any(failed)


def _suite(checkpoint: Path, weights: Mapping[str, Any], dataset: str, changes: Sequence[str], measure: Sequence[str]) -> Suite:
    stem = re.sub(r"[^A-Za-z0-9._-]", "-", checkpoint.stem)[:80]
    data: dict[str, Any] = {
        "suite": f"eval-{stem}" if weights["quirks"] == "none" else f"eval-{stem}-{weights['quirks'][:14]}",
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
        return from_document(document, rules)
    except InputError as error:
        # Lines and columns of a file that nobody wrote would only confuse.
        raise InputError([replace(problem, file=None, line=None, column=None) for problem in error.problems]) from None
