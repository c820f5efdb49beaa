"""Under a limit on memory: a job that runs out of it is a failed record, and the next one gets what that one held."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from spikebench.core.allocator import VARIABLE
from spikebench.core.store import ResultsFolder
from tests.warm import environment

LIMIT = 640
"""MB beyond what the process has when it begins with the jobs."""
MOST = LIMIT * 3 // 5
PROGRAM = """
import dataclasses, json, os, resource, sys
from pathlib import Path

import torch
from spikebench.core import allocator
from spikebench.core.cells import Cell, Job
from spikebench.core.choice import Choice
from spikebench.core.metrics import Metric
from spikebench.core.records import Record
from spikebench.core.registry import Registry
from spikebench.core.store import ResultsFolder
from spikebench.core.variant import VariantSpec
from spikebench.running.jobs.execute import Executor
from spikebench.running.jobs.identity import here
from spikebench.running.launchers import inline

limit, most = map(int, sys.argv[2:4])
FILLED = Metric("filled", "MB", None, "measured", "Filled", portable=False)
HELD = Metric("held", "MB", None, "measured", "Held", portable=False)


def megabytes(column):
    return int(open("/proc/self/statm").read().split()[column]) * resource.getpagesize() >> 20


class Tensors:
    def __init__(self):
        self.own, self.blocks = self, []  # a circle: they go when it is collected


class Filler:
    @dataclasses.dataclass(frozen=True)
    class Options:
        # One tensor of so many MB; 0: small ones, as many as there is room for.
        size: int = 0

    metrics = (HELD, FILLED)
    version = 1
    needs_weights = exclusive = resumes = False

    def run(self, subject, options):
        yield Record.of(HELD, megabytes(1) - before)
        tensors = Tensors()
        while not tensors.blocks or not options.size:
            tensors.blocks.append(torch.ones((options.size or 20) << 18))
        yield Record.of(FILLED, tensors.blocks[0].nbytes >> 20)


def run(folder):
    global before
    launcher = inline.Launcher(inline.Launcher.Options(threads=1))
    before, bound = megabytes(1), megabytes(0) + limit << 20
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    for event in launcher.run([[job] for job in jobs], Executor(folder)):
        pass
    return allocator.setting()


real = Registry.get
Registry.get = lambda self, name: Filler if name == "filler" else real(self, name)
here()
options = [{}, {"size": most}, {}, {"size": most}]
jobs = [Job(Cell(VariantSpec(), Choice("digits"), None, i), Choice("filler", each)) for i, each in enumerate(options)]
for setting in sys.argv[4:]:
    folder = Path(sys.argv[1]) / setting
    ResultsFolder(folder).create()
    child = os.fork()
    if not child:
        os.environ[allocator.VARIABLE] = setting
        print(json.dumps([run(folder), *(job.job_id for job in jobs)]), flush=True)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[str]]]:
    """Where the records are, and the jobs' ids by setting."""
    folder = tmp_path_factory.mktemp("limited")
    arguments = [str(folder), str(LIMIT), str(MOST), "kept", "system"]
    told = {name: value for name, value in environment().items() if name != VARIABLE}
    command = [sys.executable, "-c", PROGRAM, *arguments]
    done = subprocess.run(command, env=told, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return folder, {ids[0]: ids[1:] for ids in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("setting", ["kept", "system"])
def test_what_a_job_ran_out_of_is_there_for_the_next_one(setting: str, found: tuple[Path, dict[str, list[str]]]) -> None:
    folder, jobs = found
    records = {(record.job_id, record.metric): record for record in ResultsFolder(folder / setting).records()}
    first, second, third, fourth = jobs[setting]
    for full, following in ((first, second), (third, fourth)):
        assert records[full, "filled"].status == "failed"
        assert "memory" in records[full, "filled"].reason
        assert records[following, "filled"].value == MOST, records[following, "filled"].reason
        if setting == "kept":  # the system's own way is to hold some of it
            held = records[following, "held"].value
            assert held is not None
            assert held < 100, "what another process could have is still held"
