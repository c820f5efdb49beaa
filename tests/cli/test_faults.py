"""The last catch-all: a fault of spikebench is no regression, and says what to report."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spikebench import cli


def test_a_fault_has_an_exit_code_of_its_own_and_names_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise TypeError("\x1b[31munhashable\x1b[0m [/red]")

    monkeypatch.setattr("spikebench.reading.model.frame.load_results", broken)
    done = CliRunner().invoke(cli.app, ["compare", str(tmp_path / "a"), str(tmp_path / "b")])
    assert done.exit_code == 70
    assert "fault of spikebench, not of yours: TypeError: unhashable [/red]" in done.output
    assert f"{tmp_path}/a, {tmp_path}/b" in done.output
    assert "Traceback" not in done.output
    report = re.search(r"report it to the maintainers with (\S+),", done.output)
    assert report is not None
    text = Path(report[1]).read_text()
    Path(report[1]).unlink()
    assert "Traceback" in text


def test_a_file_that_cannot_be_read_is_the_users_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "some/file")

    monkeypatch.setattr("spikebench.reading.model.frame.load_results", closed)
    done = CliRunner().invoke(cli.app, ["compare", "a", "b"])
    assert (done.exit_code, done.output) == (2, "error: some/file: Permission denied\n")
