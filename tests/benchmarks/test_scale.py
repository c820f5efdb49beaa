"""What was promised of large suites and folders: seconds and megabytes of the real command, recorded beside their targets.

``pytest tests/benchmarks/test_scale.py --benchmark-only -s`` prints them; ``extra_info`` of the JSON keeps them. CPU time is what
to go by on a machine that others use. Nothing fails for being slow, but what takes ten times its target is not what was promised.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.scale import Cost, cost, environment, fill, million, peak, record, records_of, suite

GRID = {
    "T": [1, 2, 3, 4],
    "attention": ["ssa", "softmax", "sdsa", "relu", "identity"],
    "stem": ["sps", "scs"],
    "mlp_ratio": [1.0, 2.0, 3.0, 4.0, 5.0],
}
"""200 variants."""
LARGER = {**GRID, "depth": [1, 2, 3, 4, 5]}
"""1,000 variants."""
LOAD = """
import sys
from spikebench.reading.model.frame import load_results
print(len(load_results(sys.argv[1]){}))
"""


@pytest.fixture(scope="module")
def reported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 variants with 3 seeds, 192,600 records and the energy made of them."""
    folder = tmp_path_factory.mktemp("reported")
    measure = ["accuracy", {"activity": {"samples": 64}}, {"memory": {"batch_sizes": [8]}}]
    path = suite(folder, GRID, 3, measure=measure, train={"epochs": 10})
    return fill(path, folder / "results", {name: records_of(name) for name in ("train", "accuracy", "activity", "memory")})


def test_plan_of_ten_thousand_cells(benchmark: Any, tmp_path: Path) -> None:
    path = suite(tmp_path, LARGER, 10, measure=["accuracy", {"activity": {"samples": 64}}])
    found = record(benchmark, lambda: cost(["run", path, "--plan"], tmp_path), 10, 500)
    assert "30000 jobs to do" in found.output


def test_plan_of_a_thousand_cells(benchmark: Any, tmp_path: Path) -> None:
    path = suite(tmp_path, LARGER, 1, measure=["accuracy", {"activity": {"samples": 64}}])
    found = record(benchmark, lambda: cost(["run", path, "--plan"], tmp_path), 10, 500)
    assert "3000 jobs to do" in found.output


def test_resume_with_ten_thousand_finished_jobs(benchmark: Any, tmp_path: Path) -> None:
    path = suite(tmp_path, LARGER, 5, measure=["accuracy"])
    fill(path, tmp_path / "results", {name: records_of(name) for name in ("train", "accuracy")})
    command = ["run", path, "--results", tmp_path / "results"]
    cost(command, tmp_path)  # writes the report, as the run that finished the last job did
    found = record(benchmark, lambda: cost(command, tmp_path), 10)
    assert "10000 reused, 0 to do" in found.output


def test_first_of_five_thousand_jobs_and_the_memory_of_its_driver(benchmark: Any, tmp_path: Path) -> None:
    path = suite(tmp_path, LARGER, 5, train="none", measure=["accuracy"], launcher={"processes": {"workers": 1}})

    def begin() -> Cost:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "spikebench", "run", str(path)], cwd=tmp_path, env=environment(), stderr=subprocess.DEVNULL
        )
        try:
            while not list((tmp_path / "results/scale/jobs").glob("**/*.partial")):
                assert process.poll() is None
                time.sleep(0.01)
            wall = time.perf_counter() - started
            times = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[11:15]
            cpu = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
            return Cost(wall, cpu, peak(process.pid), "")
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()

    record(benchmark, begin, 5, 250)


def test_driver_of_five_thousand_jobs(benchmark: Any, tmp_path: Path) -> None:
    """All that is not the job's own: 20 ms a job, and no more for the last ones than for the first."""
    path = suite(tmp_path, LARGER, 5, train="none", measure=["accuracy"])
    found = record(benchmark, lambda: cost(["-c", DRIVER, path, tmp_path / "results"], tmp_path), 5000 * 0.02)
    first, last = json.loads(found.output.splitlines()[-1])
    benchmark.extra_info.update(first_thousand_ms=first, last_thousand_ms=last)
    print(f"{first:.1f} ms a job at first, {last:.1f} ms at last")


DRIVER = """
import json, sys, time
from pathlib import Path
from spikebench.core.console import standard_error
from spikebench.core.records import Record
from spikebench.harnesses.accuracy import Harness
from spikebench.running.run.progress import show
from spikebench.running.run.runner import open_run

Harness.run = lambda self, subject, options: iter([Record("accuracy", 0.5, "1", conditions={"T": 4})])
run = open_run(sys.argv[1], sys.argv[2])
ends = []

def events():
    for event in run.events():
        yield event
        if type(event).__name__ == "JobEnded":
            ends.append(time.process_time())

show(events(), [planned.job for planned in run.plan.pending], 1, standard_error())
print(json.dumps([ends[1000] - ends[0], ends[-1] - ends[-1001]]))
"""


def test_report_of_two_hundred_variants(benchmark: Any, reported: Path, tmp_path: Path) -> None:
    record(benchmark, lambda: cost(["report", reported, "-f", "html", "--out", tmp_path], tmp_path), 10)
    megabytes = (tmp_path / "report.html").stat().st_size / 1e6
    benchmark.extra_info["page_megabytes"] = megabytes
    print(f"a page of {megabytes:.2f} MB")
    assert megabytes < 2


def test_load_and_table_of_two_hundred_thousand_records(benchmark: Any, reported: Path, tmp_path: Path) -> None:
    found = record(benchmark, lambda: cost(["-c", LOAD.format(".to_pandas()"), reported], tmp_path), 5)
    assert int(found.output) > 195_600


def test_job_file_of_a_million_records(benchmark: Any, tmp_path: Path) -> None:
    folder = million(tmp_path / "million")
    found = record(benchmark, lambda: cost(["-c", LOAD.format(""), folder], tmp_path), 10, 500)
    assert int(found.output) == 1_000_000


def test_search_of_a_thousand_trials(benchmark: Any, tmp_path: Path) -> None:
    search = {
        "space": {"T": {"choice": [1, 2]}, "mlp_ratio": {"float": [1.0, 4.0]}, "depth": {"int": [1, 2]}},
        "objectives": ["events", "parameters"],
        "trials": 1000,
    }
    path = suite(tmp_path, {}, 1, train={"epochs": 0}, measure=[{"activity": {"samples": 1, "batch_size": 1}}], search=search)
    found = record(benchmark, lambda: cost(["search", path], tmp_path), 100)
    assert "trial 999" in found.output
