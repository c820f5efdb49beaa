"""The guide does what it says: every code block of a topic is run, in order, in one folder that is empty at first.

A block whose first line is a comment with a file's name is written to that file. What stands after ``$`` is run as a shell would,
and must end with exit code 0, or the one that a comment behind it names; lines below a command are part of what it printed. Other
blocks of Python are programs of their own. In a CI configuration, the steps that call spikebench are run.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shlex
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from typer.testing import CliRunner

from spikebench import cli
from spikebench.running.verbs import guide, suite_reference
from tests.cli.conftest import environment

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"# ([\w./-]+\.(?:py|yaml|yml|toml))\n")
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
CODE = re.compile(r"\s*# exit code (\d+)$")


@dataclasses.dataclass
class Command:
    text: str
    exit_code: int
    printed: list[str]


def commands(block: str) -> Iterator[Command]:
    found: list[Command] = []
    for line in block.splitlines():
        if line.startswith("$ "):
            code = CODE.search(line)
            found.append(Command(CODE.sub("", line[2:]), int(code[1]) if code else 0, []))
        elif line.strip():
            found[-1].printed.append(" ".join(line.split()))
    yield from found


def steps(configuration: Any) -> Iterator[str]:
    """The shell lines of a CI configuration that call spikebench."""
    if isinstance(configuration, dict):
        for key, value in configuration.items():
            for line in [value] if isinstance(value, str) else value if isinstance(value, list) else []:
                if key in ("run", "script") and isinstance(line, str) and line.startswith("spikebench "):
                    yield line
            yield from steps(value)
    elif isinstance(configuration, list):
        for item in configuration:
            yield from steps(item)


class Reader:
    """Somebody who types what the topic says. What needs torch is done in this process, which has loaded it already."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def do(self, language: str, block: str) -> None:
        file = FILE.match(block)
        if file is not None:
            target = self.folder / file[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block)
            if file[1].startswith("."):
                for step in steps(yaml.safe_load(block)):
                    self.run(Command(step, 0, []))
        elif language == "python":
            self.python(block)
        else:
            assert language == "console", f"a block of {language or 'no language'} that is no file: nothing runs it"
            for command in commands(block):
                self.run(command)

    def python(self, program: str) -> None:
        before = set(sys.modules)
        sys.path.insert(0, str(self.folder))
        try:
            exec(compile(program, "block", "exec"), {"__name__": "__main__"})
        finally:
            sys.path.remove(str(self.folder))
            for name in set(sys.modules) - before:
                if str(getattr(sys.modules[name], "__file__", "")).startswith(str(self.folder)):
                    del sys.modules[name]

    def run(self, command: Command) -> None:
        tool, _, rest = command.text.partition(" ")
        if tool == "pip":
            return  # what it would install is what is being tested
        if tool == "python":
            self.python((self.folder / rest).read_text())
            return
        code, everything = self.spikebench(rest) if tool == "spikebench" else self.shell(command.text)
        assert code == command.exit_code, f"$ {command.text}\n{everything}"
        said = " ".join(everything.split())
        for line in command.printed:
            assert line in said, f"$ {command.text}\nprinted no {line!r}:\n{everything}"

    def spikebench(self, arguments: str) -> tuple[int, str]:
        words, _, target = arguments.partition(" > ")
        done = CliRunner().invoke(cli.app, shlex.split(os.path.expandvars(words)), prog_name="spikebench")
        if target:
            (self.folder / target).write_text(done.stdout)
        trace = "".join(traceback.format_exception(done.exception)) if done.exc_info and done.exit_code else ""
        return done.exit_code, done.output + trace

    def shell(self, text: str) -> tuple[int, str]:
        text = f"{sys.executable} -m {text} -p no:cacheprovider" if text.startswith("pytest ") else text
        done = subprocess.run(["bash", "-e", "-c", text], cwd=self.folder, env=environment(), capture_output=True, text=True)
        return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("topic", guide.topics())
def test_every_code_block_of_a_topic_runs(topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    reader = Reader(tmp_path)
    for match in FENCE.finditer(guide.text(topic)):
        reader.do(match[1], match[2])


@pytest.mark.parametrize("path", sorted(guide.FOLDER.glob("*.md")), ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    for target in LINK.findall(path.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (path.parent / target).exists(), target


def test_each_topic_is_in_the_table_of_contents() -> None:
    contents = re.findall(r"^\| \[([\w-]+)\]\(([\w-]+)\.md\) \|", guide.text(None), re.M)
    assert [name for name, _ in contents] == [file for _, file in contents] == guide.topics()


def test_the_suite_reference_is_what_the_code_says() -> None:
    written = guide.text("suite").partition(suite_reference.BEGIN)[2]
    assert written == suite_reference.tables(), f"write it anew: {suite_reference.BEGIN}"


def test_each_key_of_a_suite_is_explained() -> None:
    for title, model in suite_reference.BLOCKS:
        for name, field in model.model_fields.items():
            assert field.description or name in ("int_", "float_", "choice"), f"{title} {name}"


def test_each_exit_code_is_explained() -> None:
    codes = re.findall(r"^\| (\d+) \|", guide.text("exit-codes"), re.M)
    assert codes == re.findall(r"(?:^|, )(\d+) [a-z]", " ".join((cli.__doc__ or "").split("\n\n")[1].split()))


def test_each_verb_is_in_the_table_of_verbs() -> None:
    command = typer.main.get_command(cli.app)
    told = re.findall(r"^\| `([\w-]+)[` ]", guide.text(None), re.M)
    assert set(command.commands) - set(told) == set()  # type: ignore[attr-defined]
