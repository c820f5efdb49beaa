"""A small results folder as the runner would leave it, made by hand so that no torch is needed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from spikebench.core.cells import digest
from spikebench.core.metrics import Metric
from spikebench.core.records import Record
from spikebench.core.store import ResultsFolder
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.suite_facts import SuiteFacts

SUITE = """
suite: quickstart
question: Does the convolutional stem still help when attention is softmax?
dataset: digits
variants: {base: spikformer-2-64, grid: {stem: [sps, scs], attention: [ssa, softmax]}}
seeds: [0, 1, 2]
energy: [spikformer-paper]
report: {baseline: {stem: sps, attention: ssa}}
"""

METRICS = {
    metric.name: metric
    for metric in (
        Metric("accuracy", "1", "higher", "measured", "Accuracy", display_unit="%", display_factor=100.0, digits=2,
               tolerance=0.01, note="test split, last epoch, top-1"),
        Metric("epoch_accuracy", "1", "higher", "measured", "Validation accuracy", display_unit="%", display_factor=100.0),
        Metric("epoch_loss", "1", "lower", "measured", "Validation loss"),
        Metric("parameters", "1", "lower", "counted", "Parameters", exact=True),
        Metric("dense_macs", "1", "lower", "counted", "Dense MACs", combine="sum", exact=True),
        Metric("events", "1", "lower", "counted", "SOPs", combine="sum", exact=True,
               note="events: nonzero input x existing tap, both operands nonzero in attention products; per image, all T"),
        Metric("unit_acs", "1", "lower", "counted", "Unit ACs", combine="sum", exact=True, note="an integer k is k unit spikes"),
        Metric("firing_rate", "1", None, "counted", "Firing rate", display_unit="%", display_factor=100.0, combine="mean"),
        Metric("energy", "J", "lower", "estimated", "Energy", display_unit="µJ", display_factor=1e6, combine="sum"),
        Metric("latency", "s", "lower", "measured", "Latency", display_unit="ms", display_factor=1e3, portable=False,
               tolerance=0.05),
    )
}  # fmt: skip

LAYERS = ("stem.stages.0", "stem.stages.1", "blocks.0.attention.q", "blocks.0.mlp.fc1", "blocks.1.attention.q", "head")


def cell(seed: int = 0, dataset: str = "digits", **variant: object) -> dict:
    """A cell as ``Cell.to_plain`` stores it; the ids only need to be unique."""
    full = {"family": "spikformer", "stem": "sps", "attention": "ssa", "depth": 2, "dim": 64, "num_heads": 4, "T": 4, **variant}
    identity = {"variant": full, "dataset": dataset, "training": {"name": "train", "epochs": 12}}
    return {
        "schema": 1,
        "cell_id": digest({**identity, "seed": seed}),
        "group_id": digest(identity),
        **identity,
        "pretraining": None,
        "weights": None,
        "seed": seed,
    }


def measure(one: dict, rng: np.random.Generator) -> list[Record]:
    """Plausible records of a cell: what accuracy, activity, train and latency leave, and an estimate."""
    stem, attention, own_T = one["variant"]["stem"], one["variant"]["attention"], one["variant"]["T"]
    rate = {"sps": 0.15, "scs": 0.19}[stem] * {"ssa": 1.0, "softmax": 1.1}.get(attention, 1.2)
    correct = (rng.random(360) < 0.975 + 0.02 * (stem == "scs")).astype(int).tolist()
    found = [
        Record("accuracy", sum(correct) / 360, "1", conditions={"T": own_T}, samples=correct),
        Record("accuracy", 0.9, "1", conditions={"T": 1}, samples=[1] * 324 + [0] * 36),
        Record("parameters", 113_000 + 40_000 * (stem == "scs"), "1", kind="counted"),
        Record("latency", 0.0123, "s", conditions={"batch_size": 1, "backend": "numba"}, samples=[0.0121, 0.0123, 0.0126]),
    ]
    found += [
        Record(name, value, "1", conditions={"epoch": epoch, "precision": "fp32"})
        for epoch in range(1, 6)
        for name, value in (("epoch_loss", 2.0 / epoch), ("epoch_accuracy", 0.98 - 0.5 / epoch**2))
    ]
    total = 0
    for index, scope in enumerate(LAYERS):
        dense = 400_000 * (index + 1)
        events = int(dense * rate * rng.uniform(0.99, 1.01))
        total += events
        found += [
            Record("dense_macs", dense, "1", kind="counted", scope=scope),
            Record("events", events, "1", kind="counted", scope=scope),
            Record("firing_rate", rate * (1 + 0.1 * index), "1", kind="counted", scope=scope),
        ]
    return [
        *found,
        Record("dense_macs", 8_400_000, "1", kind="counted"),
        Record("events", total, "1", kind="counted"),
        Record("unit_acs", int(total * 1.3), "1", kind="counted"),
        Record("firing_rate", rate, "1", kind="counted"),
    ]


def estimate(one: dict, records: list[Record]) -> Record:
    events = next(record.value for record in records if record.metric == "events" and not record.scope)
    return Record("energy", 0.9e-12 * events + 4.6e-12 * 1.5e5, "J", kind="estimated", cell_id=one["cell_id"],
                  conditions={"profile": "spikformer-paper", "convention": "events"})  # fmt: skip


MACHINE = {"machine_id": "m1", "cpu": "AMD EPYC 7763", "cores": 2, "threads": 1, "gpus": []}
SOURCE = {"source_id": "s1", "spikebench": "0.1.0", "commit": "abcdef1234567890", "dirty": False}


@pytest.fixture
def grid() -> list[dict]:
    """stem x attention x three seeds."""
    return [cell(seed, stem=s, attention=a) for seed in (0, 1, 2) for s in ("sps", "scs") for a in ("ssa", "softmax")]


@pytest.fixture
def make_cell() -> Callable[..., dict]:
    return cell


@pytest.fixture
def make_frame() -> Callable[..., Frame]:
    """A frame in memory: ``make_frame(cells, alter=f, suite=SUITE, machine_id="m1")``; ``alter(cell, record)`` -> record."""

    def make(cells: list[dict], alter: Callable | None = None, suite: str = SUITE, machine_id: str = "m1") -> Frame:
        records = []
        for one in cells:
            own = measure(one, np.random.default_rng(int(one["cell_id"], 16)))
            changed = own if alter is None else [new for record in own if (new := alter(one, record)) is not None]
            records += [replace_ids(record, one, machine_id) for record in changed]
        facts = {one["cell_id"]: one for one in cells}
        return Frame(records, facts, {machine_id: MACHINE}, {"s1": SOURCE}, SuiteFacts.parse(suite), metrics=METRICS)

    return make


@pytest.fixture
def frame(grid: list[dict]) -> Frame:
    """The grid's frame with an energy estimate, the metrics declared as above."""
    rng = np.random.default_rng(0)
    records = []
    for one in grid:
        own = [replace_ids(record, one) for record in measure(one, rng)]
        records += [*own, replace_ids(estimate(one, own), one)]
    return Frame(records, {one["cell_id"]: one for one in grid}, {"m1": MACHINE}, {"s1": SOURCE}, SuiteFacts.parse(SUITE),
                 metrics=METRICS)  # fmt: skip


def replace_ids(record: Record, one: dict, machine_id: str = "m1") -> Record:
    import dataclasses

    return dataclasses.replace(
        record, job_id=digest([one["cell_id"], record.metric]), cell_id=one["cell_id"], machine_id=machine_id, source_id="s1"
    )


@pytest.fixture
def store(tmp_path: Path) -> Callable[..., Path]:
    """Write a results folder: ``store(cells, name="a", suite=SUITE, alter=f)``; ``alter`` maps each record to one or None."""

    def write(cells: list[dict], name: str = "quickstart", suite: str = SUITE, alter: Callable | None = None) -> Path:
        folder = ResultsFolder(tmp_path / name).create()
        folder.put_suite(suite)
        folder.put_facts("machines", "m1", MACHINE)
        folder.put_facts("sources", "s1", SOURCE)
        for one in cells:
            folder.put_facts("cells", one["cell_id"], one)
            by_job: dict[str, list[Record]] = {}
            for record in measure(one, np.random.default_rng(int(one["cell_id"], 16))):
                changed = record if alter is None else alter(one, record)
                if changed is not None:
                    by_job.setdefault(digest([one["cell_id"], record.metric == "accuracy"]), []).append(changed)
            for job_id, records in by_job.items():
                ids = {"job_id": job_id, "cell_id": one["cell_id"], "machine_id": "m1", "source_id": "s1"}
                writer = folder.writer({"schema": 1, **ids})
                for record in records:
                    writer.write(record)
                writer.finish()
        return folder.path

    return write
