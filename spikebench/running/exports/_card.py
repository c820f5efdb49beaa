"""The card that goes with exported weights: what the network is, what was measured of it and where, and how to load it."""

from __future__ import annotations

from typing import Any

import yaml

from spikebench.core.records import Record, label
from spikebench.reading.model.factors import show
from spikebench.running.exports._source import Source

LOADING = """```python
import spikebench
from safetensors.torch import load_file
from spikebench.core.suite import inputs_of
from spikebench.core.suite_reader import load

cell = load("suite.yaml").cells[0]
model = spikebench.build(cell.variant, inputs_of(cell.dataset))
model.load_state_dict(load_file("model.safetensors"))
```"""


def text(source: Source) -> str:
    """Markdown."""
    rows = [f"| {label(record)} | {_number(record)} | {record.unit} | {record.kind} |" for record in source.records]
    facts = [f"* {name}: {show(value)}" for name, value in source.frame.cell_factors[source.cell.cell_id].items()]
    machines = sorted({source.frame.machine_name(record.machine_id) for record in source.records if record.machine_id})
    return "\n".join(
        [
            f"# {title(source)}",
            "",
            "A spiking network, trained and measured with spikebench. Estimates are from counts and are labelled so.",
            "",
            *facts,
            "",
            "| what | value | unit | kind |",
            "| :--- | ---: | :--- | :--- |",
            *rows,
            "",
            f"Machines: {'; '.join(machines) or 'not recorded'}. Cell {source.cell.cell_id}.",
            "",
            LOADING,
            "",
        ]
    )


def with_metadata(source: Source) -> str:
    """The card with the front matter that the hub reads: measured results as a ``model-index``."""
    metadata = {"library_name": "spikebench", "tags": ["spiking-neural-network", "spikformer"], "model-index": [index(source)]}
    return f"---\n{yaml.safe_dump(metadata, sort_keys=False)}---\n{text(source)}"


def index(source: Source) -> dict[str, Any]:
    """One entry of a ``model-index``: what was measured and counted on a data set; estimates are no results."""
    dataset = {"name": str(source.cell.dataset), "type": source.cell.dataset.name, "split": "test"}
    task = {"type": "image-classification", "name": "Image classification"}
    metrics = [
        {"type": record.metric, "value": record.value, "name": label(record), "verified": False}
        for record in source.records
        if record.kind in ("measured", "counted") and record.conditions.get("split", "test") == "test"
        and not record.conditions.keys() & {"epoch", "t"}
    ]  # fmt: skip
    return {"name": title(source), "results": [{"task": task, "dataset": dataset, "metrics": metrics}]}


def title(source: Source) -> str:
    variant = source.cell.variant
    size = f"{variant.family.name} {variant.depth}-{variant.dim}"
    return f"{size} on {source.cell.dataset.name}, {source.name}, seed {source.cell.seed}"


def _number(record: Record) -> str:
    return f"{record.value:,}" if isinstance(record.value, int) else f"{record.value:.6g}"
