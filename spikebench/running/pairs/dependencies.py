"""Whether another commit can run in this environment: what its pyproject.toml asks, and packages for what is not met."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import tomllib
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from spikebench.core.errors import InputError
from spikebench.running.pairs.checkout import Repository

FILE = "pyproject.toml"
Install = Callable[[Sequence[str], Path], str]
"""Requirements and a folder to what went wrong, "" for nothing."""


@dataclasses.dataclass(frozen=True, slots=True)
class Dependencies:
    """Requirements of both sides as their pyproject.toml lists them."""

    old: tuple[str, ...]
    new: tuple[str, ...]

    @classmethod
    def between(cls, repository: Repository, commit: str) -> Dependencies:
        """Of a commit and of what lies in the working folder; a project without a pyproject.toml asks for nothing."""
        now = repository.root / FILE
        return cls(_listed(repository.file_at(commit, FILE)), _listed(now.read_text(encoding="utf-8") if now.is_file() else None))

    @property
    def unmet(self) -> list[str]:
        """What the commit asks for differently, and this environment does not satisfy."""
        return [text for text in self.old if text not in self.new and not _is_met(text)]

    def overlay(self, folder: Path, ref: str, install: Install | None = None) -> tuple[Path | None, list[str]]:
        """A folder with packages for the other side alone, where it needs any, and what to say of it.

        Raises InputError with what pip said where they cannot be had.
        """
        if self.old == self.new:
            return None, []
        differ = ", ".join([*(text for text in self.old if text not in self.new)] or ["fewer than now"])
        if not self.unmet:
            return None, [f"the dependencies of {ref} differ ({differ}), and this environment satisfies them: both sides use it"]
        failure = (install or _pip)(self.unmet, folder)
        if failure:
            raise InputError(
                f"--against-ref: {ref} needs {', '.join(self.unmet)}, which is not installed here and cannot be had: {failure}; "
                "make an environment that has it and name its Python with --against-python"
            )
        return folder, [
            f"{ref} has {', '.join(self.unmet)} in an environment of its own, which is part of any difference in time"
        ]


def _listed(text: str | None) -> tuple[str, ...]:
    try:
        project: Any = tomllib.loads(text or "").get("project", {})
    except tomllib.TOMLDecodeError:
        return ()
    listed = project.get("dependencies", []) if isinstance(project, dict) else []
    return tuple(text for text in listed if isinstance(text, str)) if isinstance(listed, list) else ()


def _is_met(text: str) -> bool:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        wanted = Requirement(text)
    except InvalidRequirement:
        return True  # pip would refuse it too; whoever installed the project has seen to it
    if wanted.marker is not None and not wanted.marker.evaluate():
        return True
    try:
        return wanted.specifier.contains(version(wanted.name), prereleases=True)
    except PackageNotFoundError:
        return False


def _pip(requirements: Sequence[str], folder: Path) -> str:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(folder)]
    done = subprocess.run([*command, *requirements], capture_output=True, text=True, errors="replace", check=False)
    lines = [line for line in done.stderr.strip().splitlines() if line.startswith("ERROR")] or done.stderr.strip().splitlines()
    return (lines[-1] if lines else "pip said nothing") if done.returncode else ""
