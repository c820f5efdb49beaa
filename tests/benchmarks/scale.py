"""Large suites and results folders for ``test_scale.py``, made without running anything, and what a command costs."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import yaml

from spikebench.core.cells import digest
from spikebench.core.records import Record
from spikebench.core.store import ResultsFolder
from spikebench.core.suite import Suite
from spikebench.core.suite_reader import load

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "results/reference/ci"
EPOCHS = 10


@dataclasses.dataclass(frozen=True)
class Cost:
    """``cpu``: user and system seconds of the command and its children, which a busy machine changes less than ``wall``.
    ``megabytes``: peak resident memory of the command's own process. ``output``: what it printed.
    """

    wall: float
    cpu: float
    megabytes: float
    output: str


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "140", "NO_COLOR": "1", "MPLBACKEND": "Agg"}


def cost(command: Sequence[str | Path], folder: Path) -> Cost:
    """Run ``spikebench COMMAND``, or ``python -c CODE`` where the first word is ``-c``."""
    head = [sys.executable] if command[0] == "-c" else [sys.executable, "-m", "spikebench"]
    out = folder / "output.txt"
    started = time.perf_counter()
    with out.open("w") as stream:
        process = subprocess.Popen(
            [*head, *map(str, command)], stdout=stream, stderr=subprocess.STDOUT, cwd=folder, env=environment()
        )
        done, megabytes = 0, 0.0
        while not done:
            # Not ru_maxrss, which begins with the memory of the process that started this one.
            megabytes = peak(process.pid) or megabytes
            time.sleep(0.01)
            done, status, usage = os.wait4(process.pid, os.WNOHANG)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    text = out.read_text()
    assert process.returncode == 0, text[-2000:]
    return Cost(wall, usage.ru_utime + usage.ru_stime, megabytes, text)


def record(benchmark: Any, measure: Callable[[], Cost], seconds: float, megabytes: float = float("inf")) -> Cost:
    """What ``measure`` costs, told beside its target: ``seconds`` of CPU, ``megabytes``. Nothing fails for being slow, but what
    takes ten times its target is not what was promised."""
    found: Cost = benchmark.pedantic(measure, rounds=1)
    benchmark.extra_info.update(
        cpu_seconds=round(found.cpu, 2), megabytes=round(found.megabytes), target_seconds=seconds, load=os.getloadavg()[0]
    )
    print(f"\n{benchmark.name}: {found.wall:.1f} s, {found.cpu:.1f} s of CPU (target {seconds:g}), {found.megabytes:.0f} MB")
    assert found.cpu < 10 * seconds
    assert found.megabytes < 10 * megabytes
    return found


def peak(pid: int) -> float:
    """Peak resident memory of a process in MB; 0 if it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def suite(folder: Path, grid: Mapping[str, Sequence[Any]], seeds: int, **more: Any) -> Path:
    """A suite of small networks on ``digits``."""
    data: dict[str, Any] = {
        "suite": "scale",
        "dataset": "digits",
        "variants": {"base": {"preset": "spikformer-2-64", "depth": 1, "dim": 16, "num_heads": 2}, "grid": dict(grid)},
        "seeds": list(range(seeds)),
        "max_cells": 100_000,
        **more,
    }
    path = folder / "scale.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def read(path: Path) -> Suite:
    from spikebench.running.jobs import rules

    return load(path, rules)


def fill(path: Path, results: Path, each: Mapping[str, Sequence[Record]]) -> Path:
    """The folder of a suite that was run: for each job, the records that ``each`` has for its harness, a little changed."""
    from spikebench.running.jobs.identity import put_identity

    with unsynced():
        read_suite = read(path)
        folder = ResultsFolder(results / read_suite.name).create()
        folder.put_suite(yaml.safe_dump(dict(read_suite.data), sort_keys=False, allow_unicode=True))
        identity, rng = put_identity(folder), random.Random(0)
        for cell in read_suite.cells:
            folder.put_facts("cells", cell.cell_id, cell.to_plain())
            for job in read_suite.jobs(cell, "cpu"):
                writer = folder.writer(identity.header(job))
                for record in each[job.harness.name]:
                    writer.write(_changed(_at_own_steps(record, cell.variant.T), rng))
                writer.finish()
            weights = folder.weights_folder(cell.cell_id)
            weights.mkdir(parents=True, exist_ok=True)
            (weights / "weights.pt").touch()
    return folder.path


def records_of(harness: str) -> list[Record]:
    """What the harness left in the reference results of one cell; epochs and an accuracy where it left none there."""
    if harness == "train":
        names = ("epoch_loss", "epoch_accuracy", "epoch_training_loss")
        return [Record(n, 0.5, "1", conditions={"epoch": e, "precision": "fp32"}) for e in range(1, EPOCHS + 1) for n in names]
    if harness == "accuracy":
        return [Record("accuracy", 0.5, "1", conditions={"T": 4}, samples=[1, 0] * 180)]
    folder = ResultsFolder(REFERENCE)
    return list(next(file for file in folder.job_files() if file.header["harness"] == harness).records)


def million(path: Path) -> Path:
    """One job's file: four figures of 50 layers in each of 5,000 epochs."""
    folder, rng = ResultsFolder(path).create(), random.Random(0)
    ids = {name: digest(name) for name in ("job_id", "cell_id", "machine_id", "source_id")}
    plain = {"variant": {"T": 4}, "dataset": "digits", "training": None, "pretraining": None, "weights": None, "seed": 0}
    folder.put_facts("cells", ids["cell_id"], {"schema": 1, "cell_id": ids["cell_id"], "group_id": digest("group"), **plain})
    with unsynced():
        writer = folder.writer({**ids, "harness": "train"})
        for epoch in range(1, 5001):
            for layer in range(50):
                for name in ("firing_rate", "dead_neurons", "epoch_loss", "epoch_accuracy"):
                    writer.write(Record(name, rng.random(), "1", scope=f"blocks.{layer}.neuron", conditions={"epoch": epoch}))
        writer.finish()
    return folder.path


def _at_own_steps(record: Record, steps: int) -> Record:
    return dataclasses.replace(record, conditions={"T": steps}) if record.metric == "accuracy" else record


def _changed(record: Record, rng: random.Random) -> Record:
    if record.kind == "counted" and isinstance(record.value, int) and record.metric != "events":
        return record
    value = record.value
    if record.metric == "accuracy":
        samples = [int(rng.random() < 0.9) for _ in record.samples or ()]
        return dataclasses.replace(record, value=sum(samples) / len(samples), samples=samples)
    if isinstance(value, int):
        value = value + rng.randrange(1 + value // 100)
    elif value is not None:
        value = value * (1 + 0.01 * rng.random())
    return dataclasses.replace(record, value=value)


@contextlib.contextmanager
def unsynced() -> Iterator[None]:
    """Nothing here need survive a power cut."""
    with mock.patch("os.fsync"):
        yield
