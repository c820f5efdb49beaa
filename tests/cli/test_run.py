"""``spikebench run`` on bundled data: the table, the second run, what a changed suite adds, and what failures leave behind."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Command


def job_files(folder: Path) -> dict[str, float]:
    return {path.name: path.stat().st_mtime for path in (folder / "jobs").glob("*.jsonl")}


def test_a_run_prints_a_table_and_a_second_run_does_nothing(command: Command, tiny: Path, tmp_path: Path) -> None:
    first = command("run", tiny)
    assert first.returncode == 0, first.stderr
    assert "ssa" in first.stdout
    assert "softmax" in first.stdout
    before = job_files(tmp_path / "results/tiny")
    assert len(before) == 6
    second = command("run", tiny)
    assert second.returncode == 0, second.stderr
    assert "6 reused, 0 to do" in second.stderr
    assert second.stdout == first.stdout
    assert job_files(tmp_path / "results/tiny") == before


def test_a_new_seed_and_a_new_harness_compute_only_what_is_new(command: Command, tiny: Path, tmp_path: Path) -> None:
    command("run", tiny, check=True)
    before = job_files(tmp_path / "results/tiny")
    tiny.write_text(
        tiny.read_text()
        .replace("seeds: [0]", "seeds: [0, 1]")
        .replace("measure: [accuracy,", "measure: [{accuracy: {T: [1]}}, accuracy,")
    )
    done = command("run", tiny)
    assert "6 reused" in done.stderr
    after = job_files(tmp_path / "results/tiny")
    assert before.items() <= after.items()
    headers = [
        json.loads((tmp_path / "results/tiny/jobs" / name).read_text().splitlines()[0]) for name in after.keys() - before.keys()
    ]
    trained = [header for header in headers if header["harness"] == "train"]
    assert len(trained) == 2
    assert len(headers) == 10


def test_plan_shows_what_is_to_do_and_writes_nothing(command: Command, tiny: Path, tmp_path: Path) -> None:
    done = command("run", tiny, "--plan")
    assert done.returncode == 0, done.stderr
    assert "6 jobs to do" in done.stdout
    assert not (tmp_path / "results").exists()


def test_a_bad_suite_writes_nothing_and_shows_no_traceback(command: Command, tiny: Path, tmp_path: Path) -> None:
    tiny.write_text(tiny.read_text().replace("ssa", "sssa").replace("epochs", "epoch"))
    done = command("run", tiny)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "tiny.yaml:7:" in done.stderr
    assert "tiny.yaml:9:" in done.stderr
    assert not (tmp_path / "results").exists()


def test_another_suites_folder_is_refused(command: Command, tiny: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results/tiny"
    (folder / "jobs").mkdir(parents=True)
    (folder / "suite.yaml").write_text("suite: other\n")
    done = command("run", tiny)
    assert done.returncode == 2
    assert "'other'" in done.stderr
    assert (folder / "suite.yaml").read_text() == "suite: other\n"


def test_a_damaged_job_is_measured_again(command: Command, tiny: Path, tmp_path: Path) -> None:
    command("run", tiny, check=True)
    jobs = sorted((tmp_path / "results/tiny/jobs").glob("*.jsonl"))
    accuracy = next(path for path in jobs if '"harness": "accuracy"' in path.read_text())
    whole = accuracy.read_text()
    accuracy.write_text(whole[: len(whole) // 2])
    done = command("run", tiny)
    assert done.returncode == 0
    assert accuracy.stem.partition("-")[0] in done.stderr
    assert "1 to do" in done.stderr
    assert json.loads(accuracy.read_text().splitlines()[1]) == json.loads(whole.splitlines()[1])


def test_a_failed_training_fails_its_cell_alone(command: Command, tiny: Path) -> None:
    text = tiny.read_text().replace("grid:", "grid:\n    depth: [1]").replace("lr: 4.0e-3", "lr: 4.0e-3, clip_norm: 1.0")
    tiny.write_text(text.replace("lr: 4.0e-3", "lr: 1.0e+30"))
    done = command("run", tiny)
    # A diverged training is a result, not a crash; whatever it is, it is said and never a traceback.
    assert done.returncode in (0, 4)
    assert "Traceback" not in done.stderr
