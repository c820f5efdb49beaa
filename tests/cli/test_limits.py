"""``--job-timeout`` and ``--stall`` stand in for the suite's own keys, for one command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from spikebench.cli import app
from spikebench.core.protocols import Care
from spikebench.core.registry import REGISTRIES
from tests.cli.conftest import TINY

SEARCH = "search: {space: {depth: {choice: [1, 2]}}, objectives: [parameters], trials: 1}\n"


@pytest.fixture
def cares(monkeypatch: pytest.MonkeyPatch) -> list[Care]:
    """What launchers were told to see to; they do nothing."""
    found: list[Care] = []

    def run(self: Any, chains: Any, work: Any, care: Care) -> Any:
        found.append(care)
        return iter(())

    for name in ("inline", "processes"):
        monkeypatch.setattr(REGISTRIES["launchers"].get(name), "run", run)
    return found


@pytest.mark.parametrize(("verb", "more"), [("run", ""), ("run", "launcher: {processes: {workers: 1}}\n"), ("search", SEARCH)])
def test_a_command_has_limits_of_its_own(verb: str, more: str, tmp_path: Path, cares: list[Care]) -> None:
    path, results = tmp_path / "tiny.yaml", str(tmp_path / "results")
    path.write_text(f"{TINY}{more}stall: 90\n")
    CliRunner().invoke(app, [verb, str(path), "--results", results, "--job-timeout", "2h"])
    assert {(care.job_timeout, care.stall) for care in cares} == {(7200.0, 90.0)}
    kept = yaml.safe_load((tmp_path / "results/tiny/suite.yaml").read_text())
    assert "job_timeout" not in kept
    cares.clear()
    CliRunner().invoke(app, [verb, str(path), "--results", results, "--stall", "0.5 min"])
    assert {(care.job_timeout, care.stall) for care in cares} == {(None, 30.0)}


@pytest.mark.parametrize("verb", ["run", "search"])
def test_what_is_no_duration_is_told_before_anything_is_done(verb: str, tmp_path: Path) -> None:
    given = ["--job-timeout", "8", "--stall", "-1 s"]
    done = CliRunner().invoke(app, [verb, str(tmp_path / "none.yaml"), "--results", str(tmp_path), *given])
    assert done.exit_code == 2
    said = " ".join(done.output.split())
    assert "--job-timeout: expected " in said
    assert "no unit in '8'" in said
    assert "--stall: must be above 0, got -1 s" in said
