"""A table answers what the suite asks now: results of before are kept, named, and not mixed in."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

from spikebench.reading.model.frame import load_results
from tests.cli.conftest import Command

SUITE = """
suite: tiny
dataset: digits
variants:
  base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 2, neuron: {name: lif, v_threshold: 0.0625}}
  grid: {attention: [ssa, softmax]}
seeds: [0]
train: {epochs: 0}
measure: [{activity: {samples: 4}}]
report: {formats: [csv]}
"""


def table(folder: Path) -> list[dict[str, str]]:
    with (folder / "report/comparison.csv").open() as stream:
        return list(csv.DictReader(stream))


def sops(folder: Path) -> dict[str, dict[str, str]]:
    """Row -> column -> SOPs."""
    return {
        row["attention"]: {name: value for name, value in row.items() if name.startswith("events") and value and ":" not in name}
        for row in table(folder)
    }


def run(command: Command, folder: Path, text: str, results: str) -> str:
    (folder / "tiny.yaml").write_text(text)
    done = command("run", "tiny.yaml", "--results", results)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_other_samples_and_rows_that_left_are_superseded_and_come_back(command: Command, tmp_path: Path) -> None:
    more = SUITE.replace("samples: 4", "samples: 40")
    run(command, tmp_path, more, "alone")
    run(command, tmp_path, SUITE, "both")
    said = run(command, tmp_path, more, "both")
    assert sops(tmp_path / "both/tiny") == sops(tmp_path / "alone/tiny")
    assert "2 jobs are superseded" in said
    assert "activity" in said

    few = more.replace("[ssa, softmax]", "[ssa]")
    said = run(command, tmp_path, few, "both")
    assert [row.get("attention", "ssa") for row in table(tmp_path / "both/tiny")] == ["ssa"]
    assert "softmax" not in said
    assert "superseded" in said
    # Nothing was thrown away: the first suite finds all that it asked for.
    assert "0 jobs to do" in command("run", _written(tmp_path, SUITE), "--results", "both", "--plan").stdout
    run(command, tmp_path, SUITE, "both")
    assert set(sops(tmp_path / "both/tiny")) == {"ssa", "softmax"}


def test_two_counts_that_one_suite_asks_for_are_two_columns(command: Command, tmp_path: Path) -> None:
    one = {}
    for samples in (4, 40):
        run(command, tmp_path, SUITE.replace("samples: 4", f"samples: {samples}"), f"with-{samples}")
        (one[samples],) = set(sops(tmp_path / f"with-{samples}/tiny")["ssa"].values())
    assert one[4] != one[40]
    run(
        command, tmp_path, SUITE.replace("{activity: {samples: 4}}", "{activity: {samples: 4}}, {activity: {samples: 40}}"), "two"
    )
    assert sops(tmp_path / "two/tiny")["ssa"] == {
        "events{samples=4,split=test}": one[4],
        "events{samples=40,split=test}": one[40],
    }


def test_folders_that_are_copied_together_show_both_suites(command: Command, tmp_path: Path) -> None:
    run(command, tmp_path, SUITE.replace("[ssa, softmax]", "[ssa]"), "here")
    run(command, tmp_path, SUITE.replace("[ssa, softmax]", "[softmax]"), "there")
    shutil.copytree(tmp_path / "there/tiny", tmp_path / "here/tiny", dirs_exist_ok=True)
    frame = load_results(tmp_path / "here/tiny")
    assert {frame.name(group_id) for group_id in frame.groups} == {"attention=ssa", "attention=softmax"}
    assert not frame.remarks


def test_a_folder_from_before_there_were_plans_shows_all(command: Command, tmp_path: Path) -> None:
    run(command, tmp_path, SUITE, "old")
    run(command, tmp_path, SUITE.replace("[ssa, softmax]", "[ssa]"), "old")
    shutil.rmtree(tmp_path / "old/tiny/plans")
    assert len(load_results(tmp_path / "old/tiny").groups) == 2


def _written(folder: Path, text: str) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path
