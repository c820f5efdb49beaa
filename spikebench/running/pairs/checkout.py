"""Another commit's files in a folder of their own, without a trace in the repository.

git fills the folder from a private index. Unlike ``git worktree add`` that registers nothing, so ``git worktree list`` is the
same whenever and however this process ends, and two gates may run at once.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
from pathlib import Path

from spikebench.core.errors import InputError, StorageError, nearest

OPTION = "--against-ref"


@dataclasses.dataclass(frozen=True, slots=True)
class Repository:
    """The git repository around a path; ``root`` is its top folder."""

    root: Path

    @classmethod
    def around(cls, path: Path, option: str = OPTION) -> Repository:
        """Raises InputError, naming the option that asks, where git is missing or ``path`` lies in no repository."""
        folder = path.resolve().parent
        try:
            done = _git(folder, "rev-parse", "--show-toplevel")
        except OSError as error:
            raise InputError(f"{option} needs git, which cannot be started: {error.strerror}") from None
        if done.returncode or not done.stdout.strip():
            raise InputError(f"{option}: {path} lies in no git repository: {_said(done)}")
        return cls(Path(done.stdout.strip()).resolve())

    def resolve(self, ref: str) -> str:
        """The commit that ``ref`` means. Raises InputError for what is none, with the nearest name, and in a shallow clone how to
        get more commits."""
        if ref.startswith("-"):
            raise InputError(f"{OPTION}: expected a commit, branch or tag, got {ref!r}: no name in git begins with -")
        done = _git(self.root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        if done.returncode == 0:
            return done.stdout.strip()
        if self.is_shallow:
            raise InputError(
                f"{OPTION}: {ref!r} is not in this clone, which is shallow; "
                "`git fetch --unshallow` gets it, in CI a checkout with fetch-depth: 0"
            )
        names = _git(self.root, "for-each-ref", "--format=%(refname:short)").stdout.split()
        raise InputError(f"{OPTION}: {self.root} has no commit, branch or tag {ref!r}{nearest(ref, names)}")

    @property
    def is_shallow(self) -> bool:
        return _git(self.root, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"

    def changed(self) -> list[str]:
        """Tracked files that differ from the last commit."""
        lines = _git(self.root, "status", "--porcelain", "--untracked-files=no").stdout.splitlines()
        return [line[3:] for line in lines]

    def head(self) -> str:
        """The commit that is checked out; "" before the first one."""
        done = _git(self.root, "rev-parse", "--verify", "--quiet", "HEAD^{commit}")
        return done.stdout.strip() if done.returncode == 0 else ""

    def describe(self, commit: str) -> str:
        """``1a2b3c4d (subject of the commit)``."""
        subject = _git(self.root, "log", "-1", "--format=%s", commit).stdout.strip()
        return f"{commit[:8]} ({subject[:60]})" if subject else commit[:8]

    def file_at(self, commit: str, name: str) -> str | None:
        """The text of a file as the commit has it; None where it has none."""
        done = _git(self.root, "show", f"{commit}:{name}")
        return done.stdout if done.returncode == 0 else None

    def log(self, below: str) -> list[tuple[str, str, str]]:
        """Commit, date and subject of every commit that changed a folder, oldest first."""
        done = _git(self.root, "log", "--reverse", "--format=%H%x09%cI%x09%s", "--", below)
        return [(commit, when, subject) for commit, when, subject in (line.split("\t", 2) for line in done.stdout.splitlines())]

    def export(self, commit: str, folder: Path, below: str = "") -> Path:
        """The files of ``commit``, all or those below a path, into ``folder``, which is made.

        Raises StorageError with what git said.
        """
        folder.mkdir(parents=True)
        index = {"GIT_INDEX_FILE": str(folder.parent / f"{folder.name}.index")}
        tree = ["read-tree", f"--prefix={below}/", f"{commit}:{below}"] if below else ["read-tree", commit]
        for words in (tree, ["checkout-index", "--all", f"--prefix={folder}{os.sep}"]):
            done = _git(self.root, *words, **index)
            # A commit that took the folder away has none of it, which whoever reads it will see.
            if done.returncode and not below:
                raise StorageError(f"{OPTION}: git {words[0]} of {commit[:8]} failed: {_said(done)}")
        return folder


def _git(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "-C", str(folder), *words],
        capture_output=True, text=True, errors="replace", env={**os.environ, "LC_ALL": "C", **environment}, check=False,
    )  # fmt: skip


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip().splitlines() or ["it said nothing"])[-1].removeprefix("fatal: ")
