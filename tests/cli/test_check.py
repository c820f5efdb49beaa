"""``check`` and ``baseline``: the gate as CI calls it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests import warm
from tests.cli.conftest import Command

SUITE = """
suite: gate
dataset: digits
variants:
  base: {preset: spikformer-2-64, dim: 16, depth: 1, num_heads: 2, T: 2, neuron: {name: lif, v_threshold: 0.0625}}
train: {epochs: 0}
measure: [{activity: {samples: 8}}]
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "gate.yaml"
    path.write_text(SUITE)
    return path


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``results/`` of the suite and its baseline."""
    folder = tmp_path_factory.mktemp("measured")
    (folder / "gate.yaml").write_text(SUITE)
    for words in (["run", "gate.yaml"], ["baseline", "update", "results/gate"]):
        warm.run(*words, cwd=folder).check_returncode()
    return folder


@pytest.fixture
def baseline(measured: Path, tmp_path: Path) -> Path:
    shutil.copytree(measured / "results", tmp_path / "results")
    return tmp_path / "results/reference/gate"


def test_unchanged_code_passes_and_every_output_is_written(command: Command, suite: Path, baseline: Path, tmp_path: Path) -> None:
    done = command(
        "check", suite, "--against", baseline, "--markdown", "g.md", "--junit", "g.xml", "--json", "g.json", "--github"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pass" in (tmp_path / "g.md").read_text()
    assert json.loads((tmp_path / "g.json").read_text())["exit_code"] == 0
    cases = list(ElementTree.parse(tmp_path / "g.xml").getroot().iter("testcase"))
    assert cases
    assert not [case for case in cases if case.find("failure") is not None]
    assert "::error" not in done.stdout


def test_a_changed_count_is_a_regression_that_names_it(command: Command, suite: Path, baseline: Path, tmp_path: Path) -> None:
    for path in (baseline / "jobs").glob("*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if line.get("metric") == "parameters":
                line["value"] += 1
        path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = command("check", suite, "--against", baseline, "--junit", "g.xml", "--github")
    assert done.returncode == 1
    assert "parameters" in done.stdout
    assert "::error" in done.stdout
    assert any(case.find("failure") is not None for case in ElementTree.parse(tmp_path / "g.xml").getroot().iter("testcase"))


def test_check_never_writes_the_baseline(command: Command, suite: Path, baseline: Path) -> None:
    before = {path: path.read_bytes() for path in baseline.rglob("*") if path.is_file()}
    command("check", suite, "--against", baseline)
    assert {path: path.read_bytes() for path in baseline.rglob("*") if path.is_file()} == before


def test_show_and_diff(command: Command, baseline: Path) -> None:
    assert "SOPs" in command("baseline", "show", "gate", check=True).stdout
    assert command("baseline", "diff", "results/gate").returncode == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("suite: gate", "suite: other"), "of the suite 'gate', not of 'other'"),
        (("T: 2", "T: 1"), "nothing to compare"),
        (("train:", "check: {latenci: 5%}\ntrain:"), "latenci"),
    ],
)
def test_a_baseline_that_does_not_fit_is_exit_2(
    command: Command, suite: Path, baseline: Path, change: tuple[str, str], words: str
) -> None:
    suite.write_text(SUITE.replace(*change))
    done = command("check", suite, "--against", baseline)
    assert done.returncode in (2, 5), done.stdout
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_no_baseline_a_damaged_and_a_newer_one_are_exit_2(command: Command, suite: Path, baseline: Path, tmp_path: Path) -> None:
    assert command("check", suite, "--against", tmp_path / "none").returncode == 2
    path = next((baseline / "jobs").glob("*.jsonl"))
    text = path.read_text()
    path.write_text(text.replace('"schema": 2', '"schema": 99', 1))
    done = command("check", suite, "--against", baseline)
    assert done.returncode == 2
    assert "schema 99" in done.stderr
    path.write_text(text[:-40])
    done = command("check", suite, "--against", baseline)
    assert done.returncode == 2
    assert path.name in done.stderr
