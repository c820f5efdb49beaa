"""torchrun's processes: the first runs the command and writes, the others help it train; equal to one process up to rounding."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import spikebench
from spikebench import data
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.records import Record
from spikebench.harnesses import train
from spikebench.testing import make_subject
from spikebench.training import ranks
from spikebench.training.group import Group
from spikebench.training.samples import Samples
from tests.cli.conftest import environment

SUITE = """\
suite: ranks
dataset: {random: {channels: 1, size: 8, classes: 4, samples: 24}}
variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 2}, grid: {stem: [sps, scs]}}
train: {epochs: 2, batch_size: 8, lr: 4.0e-3, amp: "off"MORE}
measure: [accuracy]
energy: []
report: {formats: [markdown]}
launcher: processes
"""


def write(folder: Path, more: str = "") -> Path:
    (folder / "suite.yaml").write_text(SUITE.replace("MORE", more))
    return folder / "suite.yaml"


def records(folder: Path) -> dict[str, list[float | None]]:
    """metric -> values of the whole network, by job."""
    found: dict[str, list[float]] = {}
    for path in sorted((folder / "ranks" / "jobs").glob("*.jsonl")):
        for line in (line for line in path.read_text().splitlines() if '"metric"' in line):
            record = Record.from_json(line)
            if record.scope == "":
                found.setdefault(record.metric, []).append(record.value)
    return found


def test_one_process_writes_what_two_have_trained(tmp_path: Path) -> None:
    """Two networks, one after the other whatever the suite's launcher is, and nothing is said twice."""
    suite = write(tmp_path)
    start = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "spikebench"]
    done = subprocess.run(
        [*start, "run", "suite.yaml", "--results", "two"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=280,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("ranks: 4 jobs") == 1
    assert done.stdout.count("Comparison") == 1
    suite.write_text(suite.read_text().replace("launcher: processes\n", ""))
    spikebench.run(suite, results=tmp_path / "one")
    one, two = records(tmp_path / "one"), records(tmp_path / "two")
    assert {name: len(values) for name, values in one.items()} == {name: len(values) for name, values in two.items()}
    assert two["first_step_loss"] == pytest.approx(one["first_step_loss"], rel=1e-5)
    folders = [sorted(path.name for path in (tmp_path / of / "ranks" / "weights").iterdir()) for of in ("one", "two")]
    assert folders[0] == folders[1]
    assert not list((tmp_path / "two").rglob("*.partial"))


def _told(group: Group, numbers: list[int]) -> None:
    total = torch.tensor(numbers[group.rank])
    if total < 0:
        raise ValueError("what it said")
    assert int(group.sum(total)) == sum(numbers)


def _rank(rank: int, port: int, queue: multiprocessing.Queue) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    joined = ranks.join()
    assert joined is not None
    if rank:
        joined.help_out()
        queue.put("helped")
        return
    for numbers in ([1, 2], [3, -1], [4, 5]):
        try:
            with joined.training(_told, numbers, device="cpu") as group:
                _told(group, numbers)
        except Exception as error:
            queue.put(str(error))
        else:
            queue.put("well")
    joined.release()


def test_a_process_that_fails_is_told_by_the_first_and_the_next_training_is_unharmed() -> None:
    context = multiprocessing.get_context("spawn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    queue = context.Queue()
    processes = [context.Process(target=_rank, args=(rank, port, queue)) for rank in range(2)]
    for process in processes:
        process.start()
    said = [queue.get(timeout=200) for _ in range(4)]
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert said == ["well", "process 1 of 2: ValueError: what it said", "well", "helped"]


@pytest.fixture
def _of_two(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(ranks, "_here", ranks.Ranks())


@pytest.mark.usefixtures("_of_two")
@pytest.mark.parametrize("options", [{"devices": 3}, {"sync_batchnorm": False}])
def test_other_numbers_of_devices_than_torchruns_are_refused(options: dict[str, object], tmp_path: Path) -> None:
    choice = Choice("train", options)
    with pytest.raises(InputError, match="devices: torchrun has started 2 processes here, got"):
        list(train.Harness().run(make_subject(tmp_path, choice), choice.resolve("harnesses")))


@pytest.mark.usefixtures("_of_two")
def test_limits_of_jobs_are_refused_as_processes_end_together(tmp_path: Path) -> None:
    suite = write(tmp_path)
    suite.write_text(suite.read_text().replace("launcher: processes", "stall: 5 min"))
    with pytest.raises(InputError, match="stall: torchrun's processes end together"):
        spikebench.run(tmp_path / "suite.yaml", results=tmp_path)


def test_batch_norm_of_each_device_alone_is_a_training_in_as_many_passes() -> None:
    alone = Choice("train", {"devices": 2, "accumulate": 3, "sync_batchnorm": False, "batch_size": 12})
    passes = Choice("train", {"accumulate": 6, "batch_size": 12})
    assert alone.canonical("harnesses") == passes.canonical("harnesses")
    assert alone.canonical("harnesses") != Choice("train", {"devices": 2, "accumulate": 3, "batch_size": 12}).canonical(
        "harnesses"
    )
    dataset = data.load({"random": {"channels": 1, "size": 8, "classes": 4, "samples": 24}})
    kinds = []
    for rank in range(2):
        samples = Samples(dataset, alone.resolve("harnesses"), 0, torch.device("cpu"), Group(rank, 2))
        (first, _) = samples.batches(0, torch.Generator().manual_seed(1), 0)
        kinds.append([(part.kind, part.weight) for part in first.parts])
    assert kinds == [[("whole", pytest.approx(1 / 6))] * 3] * 2
    with pytest.raises(InputError, match=r"sync_batchnorm must be true where batch_size \(4\) is less"):
        Choice("train", {"devices": 3, "accumulate": 2, "sync_batchnorm": False, "batch_size": 4}).resolve("harnesses")
