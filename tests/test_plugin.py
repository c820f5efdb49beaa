"""``pytest --spikebench SUITE``, run as a user would, and the file that it leaves for pytest-benchmark."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from spikebench.core.store import ResultsFolder
from spikebench.plugin import Replay

SUITE = """\
suite: tiny
dataset: digits
variants:
  base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 2, neuron: {name: lif, v_threshold: 0.0625}}
train: {epochs: 0}
measure: [{activity: {samples: 8}}, {latency: {batch_sizes: [1, 4], seconds: 0.2}}]
"""


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).resolve().parents[1])
    # Where the package is installed its entry point brings the plugin; naming it once more would be an error.
    installed = any(entry.value == "spikebench.plugin" for entry in entry_points(group="pytest11"))
    named = [] if installed else ["-p", "spikebench.plugin"]
    words = [sys.executable, "-m", "pytest", *named, "-p", "no:cacheprovider", "-q", *arguments]
    # pytest-benchmark measures nothing in a worker of pytest-xdist, which this process may be.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    environment = {**inherited, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "PYTEST_ADDOPTS": "", "COLUMNS": "200"}
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str], dict[str, Any]]:
    """The suite's jobs as tests, beside a test file that must not be collected."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "tiny.yaml").write_text(SUITE)
    (folder / "test_other.py").write_text("def test_other():\n    assert False\n")
    done = run_pytest(folder, "--spikebench", "tiny.yaml", "--spikebench-results", "kept", "--benchmark-json", "found.json", "-v")
    found = json.loads((folder / "found.json").read_text()) if (folder / "found.json").exists() else {}
    return folder, done, {benchmark["name"]: benchmark for benchmark in found.get("benchmarks", ())}


def test_every_job_is_a_test(ran: Any) -> None:
    _, done, found = ran
    assert done.returncode == 0, done.stdout
    assert sorted(found) == ["activity[seed0]", "latency[1-seed0]", "latency[4-seed0]", "train[seed0]"]
    assert "test_other" not in done.stdout
    assert all(benchmark["fullname"] == f"tiny.yaml::{name}" for name, benchmark in found.items())


def test_latency_is_the_harness_own_samples(ran: Any) -> None:
    folder, _, found = ran
    for size in (1, 4):
        (record,) = (
            record
            for record in ResultsFolder(folder / "kept/tiny").records()
            if record.metric == "latency" and record.conditions["batch_size"] == size
        )
        assert record.samples is not None
        benchmark = found[f"latency[{size}-seed0]"]
        assert benchmark["stats"]["rounds"] == len(record.samples)
        assert benchmark["stats"]["min"] == pytest.approx(min(record.samples))
        assert benchmark["stats"]["median"] == pytest.approx(sorted(record.samples)[len(record.samples) // 2], rel=0.2)
        label = f"latency{{batch_size={size}, dtype=fp32, phase=inference, mode=eager, backend=spikebench, malloc=kept}}"
        assert benchmark["extra_info"][label] == record.value


def test_other_numbers_are_extra_info(ran: Any) -> None:
    folder, _, found = ran
    extra = found["activity[seed0]"]["extra_info"]
    records = {record.metric: record for record in ResultsFolder(folder / "kept/tiny").records() if not record.scope}
    assert extra["parameters"] == records["parameters"].value > 0
    assert extra["events{split=test}"] == records["events"].value > 0
    assert extra["units"]["bytes_read"] == "B"
    assert extra["cell_id"] == records["events"].cell_id
    assert found["train[seed0]"]["extra_info"]["first_step_loss{precision=fp32}"] == records["first_step_loss"].value


def test_pytest_benchmarks_own_compare_reads_the_file(ran: Any) -> None:
    folder, _, _ = ran
    words = [sys.executable, "-m", "pytest_benchmark", "compare", str(folder / "found.json"), "--columns=median,rounds"]
    compared = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=60)
    assert compared.returncode == 0, compared.stderr
    assert "latency[4-seed0]" in compared.stdout


def test_a_measurement_alone_brings_its_training_and_a_failure_its_reason(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(
        SUITE.replace("epochs: 0", "epochs: 1, lr: 1.0e+30, clip_norm: null").replace("T: 2", "T: 1")
    )
    done = run_pytest(tmp_path, "--spikebench", "tiny.yaml", "-k", "activity")
    assert "1 failed, 3 deselected" in done.stdout
    assert "training diverged" in done.stdout or "not finite" in done.stdout, done.stdout
    assert "Traceback" not in done.stdout
    assert {path.name for path in tmp_path.iterdir()} <= {"tiny.yaml", ".benchmarks"}


def test_a_bad_suite_is_an_error_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(SUITE.replace("digits", "digitz"))
    done = run_pytest(tmp_path, "--spikebench", "tiny.yaml")
    assert done.returncode == 2
    assert "tiny.yaml:2:1: dataset: unknown data set 'digitz'; did you mean 'digits'?" in done.stdout
    assert "Traceback" not in done.stdout
    missing = run_pytest(tmp_path, "--spikebench", "nowhere.yaml")
    assert missing.returncode == 4
    assert "no such file" in missing.stderr


def test_the_plugin_costs_others_nothing() -> None:
    program = "import sys, spikebench.plugin; assert not {'torch', 'pandas', 'optuna', 'yaml'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_replayed_clock_runs_by_the_samples() -> None:
    clock = Replay()
    clock.samples = iter([1.0, 2.5])
    readings = [clock() for _ in range(4)]
    assert [readings[1] - readings[0], readings[3] - readings[2]] == [1.0, 2.5]


GATES = """
from spikebench.core.errors import InputError
from spikebench.reading.gate.check import Gate
from spikebench.reading.gate.verdicts import Judgement
from spikebench.running.verbs import check_pairs

def check_against(path, other, effort):
    assert other.ref == "v1"
    if path.stem == "lost":
        raise InputError("--against-ref: no commit, branch or tag 'v1'")
    outcome = {"good": "pass", "bad": "fail"}.get(path.stem, "inconclusive")
    return Gate(path.stem, (Judgement("sps", "latency", outcome, "words of " + path.stem),))

check_pairs.check_against = check_against
"""


def test_a_suite_against_a_ref_is_one_test_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(GATES)
    names = ("good", "bad", "unclear", "lost")
    for name in names:
        (tmp_path / f"{name}.yaml").write_text(SUITE)
    suites = [word for name in names for word in ("--spikebench", f"{name}.yaml")]
    done = run_pytest(tmp_path, *suites, "--spikebench-against-ref", "v1", "-k", "against", "-rA")
    assert done.returncode == 1, done.stdout
    assert "PASSED good.yaml::against-ref[v1]" in done.stdout
    assert "words of bad" in done.stdout
    assert "SKIPPED" in done.stdout
    assert "words of unclear" in done.stdout
    assert "no commit, branch or tag 'v1'" in done.stdout
    assert "2 failed, 1 passed, 1 skipped" in done.stdout
    assert "Traceback" not in done.stdout


def test_a_ref_without_a_suite_is_a_usage_error(tmp_path: Path) -> None:
    done = run_pytest(tmp_path, "--spikebench-against-ref", "v1")
    assert done.returncode == 4
    assert "which suite?" in done.stderr
