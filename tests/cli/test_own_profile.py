"""An energy profile of one's own: a TOML file beside the suite, in tables and in ``explain``, with nothing measured again."""

from __future__ import annotations

from pathlib import Path

from spikebench.core.registry import REGISTRIES
from tests.cli.conftest import Command


def test_a_toml_file_beside_the_suite(command: Command, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "suites").mkdir()
    suite = tiny.rename(tmp_path / "suites" / "tiny.yaml")
    suite.write_text(suite.read_text().replace("epochs: 3", "epochs: 1"))
    command("run", suite, check=True)
    (tmp_path / "suites" / "mine.toml").write_text(REGISTRIES["profiles"].get("horowitz-45nm-fp32").read_text())
    suite.write_text(suite.read_text() + "energy: [mine.toml]\n")
    done = command("run", suite)
    assert done.returncode == 0, done.stderr
    assert "6 reused, 0 to do" in done.stderr
    assert "mine" in done.stdout
    explained = command("explain", "results/tiny", "--group", "attention=ssa")
    assert explained.returncode == 0, explained.stderr
    assert "mine" in explained.stdout
