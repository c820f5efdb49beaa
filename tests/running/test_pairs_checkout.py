"""Refs and checkouts, each fault with one clear message; git's own lists stay as they were."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from spikebench.core.errors import InputError
from spikebench.running.pairs.against import Other
from spikebench.running.pairs.checkout import Repository
from spikebench.running.pairs.dependencies import Dependencies
from spikebench.running.pairs.sides import Side, check_origins, import_roots, is_code_of, moved, other_checkout


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "protocol.file.allow=always"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *words], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """Two commits: `one` on tag `first`, `two` on main."""
    root = tmp_path / "project"
    (root / "src").mkdir(parents=True)
    git(root, "init", "-q", "-b", "main")
    (root / ".gitattributes").write_text("left_out.py export-ignore\n")
    for word in ("one", "two"):
        (root / "src" / "code.py").write_text(f"WORD = {word!r}\n")
        (root / "left_out.py").write_text(word)
        (root / "pyproject.toml").write_text(
            f'[project]\nname = "p"\ndependencies = ["numpy>=1{", <1" if word == "one" else ""}"]\n'
        )
        git(root, "add", "-A")
        git(root, "commit", "-qm", f"the word is {word}")
        git(root, "tag", {"one": "first", "two": "second"}[word])
    return Repository.around(root / "suite.yaml")


def state(root: Path) -> dict[str, str]:
    """All that git could have changed."""
    return {words: git(root, *words.split()) for words in ("worktree list", "status --porcelain", "ls-files -s", "stash list")}


def test_a_commit_is_checked_out_without_a_trace(repository: Repository, tmp_path: Path) -> None:
    before = state(repository.root)
    (repository.root / "src" / "code.py").write_text("WORD = 'not committed'\n")
    dirty = state(repository.root)
    folder = repository.export(repository.resolve("first"), tmp_path / "scratch" / "checkout")
    assert (folder / "src" / "code.py").read_text() == "WORD = 'one'\n"
    assert (folder / "left_out.py").read_text() == "one"
    assert state(repository.root) == dirty
    assert before["worktree list"] == dirty["worktree list"]
    assert repository.changed() == ["src/code.py"]


@pytest.mark.parametrize(
    ("ref", "words"),
    [
        ("-first", "no name in git begins with -"),
        ("--upload-pack=x", "no name in git begins with -"),
        ("firts", "did you mean 'first'"),
        ("first:src", "no commit, branch or tag"),
        ("", "no commit, branch or tag"),
    ],
)
def test_a_ref_that_is_none_is_one_clear_message(repository: Repository, ref: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        repository.resolve(ref)


def test_a_shallow_clone_says_how_to_get_the_commit(repository: Repository, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{repository.root}", "shallow")
    shallow = Repository.around(tmp_path / "shallow" / "x")
    assert shallow.resolve("HEAD")
    with pytest.raises(InputError, match=r"shallow.*fetch --unshallow"):
        shallow.resolve(git(repository.root, "rev-parse", "first"))


def test_outside_of_a_repository(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lies in no git repository"):
        Repository.around(tmp_path / "suite.yaml")


def test_one_other_side_is_asked_for() -> None:
    for given in ({}, {"ref": "a", "folder": Path("b")}):
        with pytest.raises(InputError, match="one other side"):
            Other(**given)  # type: ignore[arg-type]


def side(repository: Repository, tmp_path: Path, *paths: Path) -> Side:
    suite = repository.root / "suites" / "s.yaml"
    return Side("this side", sys.executable, tuple(map(str, paths)), suite, "suite: s", tmp_path / "new", repository.root)


def test_the_other_side_imports_its_own_files_from_where_this_one_has_them(repository: Repository, tmp_path: Path) -> None:
    files = repository.export(repository.resolve("first"), tmp_path / "checkout")
    here = side(repository, tmp_path, repository.root / "src")
    there = other_checkout(here, files, tmp_path / "base", "first")
    assert there.suite == files / "suites" / "s.yaml"
    words = []
    for each in (here, there):
        done = subprocess.run(
            [each.python, "-P", "-c", "import code_ as c; print(c.WORD)".replace("code_", "code")],
            env={**each.environment(), "PYTHONSAFEPATH": "1"}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        words.append(done.stdout.strip())
    assert words == ["two", "one"]


def test_a_side_that_would_run_the_other_ones_code_is_refused(repository: Repository, tmp_path: Path) -> None:
    other = tmp_path / "checkout"
    base = other_checkout(side(repository, tmp_path, repository.root / "src"), other, tmp_path / "base", "first")
    check_origins(base, {"code": str(other / "src" / "code.py")}, repository.root)
    with pytest.raises(InputError, match="code was imported from the other side"):
        check_origins(base, {"code": str(repository.root / "src" / "code.py")}, repository.root)
    with pytest.raises(InputError, match="nothing that ran comes from"):
        check_origins(base, {}, repository.root)
    with pytest.raises(InputError, match="both sides would be the same code"):
        other_checkout(side(repository, tmp_path), other, tmp_path / "base", "first")


def test_an_environment_inside_the_project_is_not_its_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    assert is_code_of(tmp_path / "src" / "a.py", tmp_path)
    assert not is_code_of(tmp_path / ".venv" / "lib" / "site-packages" / "a.py", tmp_path)
    assert not is_code_of(Path("/elsewhere/a.py"), tmp_path)
    assert moved(tmp_path / "src", tmp_path, Path("/other")) == Path("/other/src")


def test_this_project_is_found_where_it_is_imported_from() -> None:
    root = Path(__file__).resolve().parents[2]
    assert root in import_roots(root)


def test_dependencies_that_differ_are_said_and_had_only_where_they_are_missing(repository: Repository, tmp_path: Path) -> None:
    found = Dependencies.between(repository, repository.resolve("first"))
    assert found.unmet == ["numpy>=1, <1"]
    asked = []

    def install(requirements: object, folder: Path) -> str:
        asked.append((requirements, folder))
        return ""

    folder, said = found.overlay(tmp_path / "packages", "first", install)
    assert (folder, asked) == (tmp_path / "packages", [(["numpy>=1, <1"], tmp_path / "packages")])
    assert "environment of its own" in said[0]
    with pytest.raises(InputError, match=r"first needs numpy>=1, <1.*no index.*--against-python"):
        found.overlay(tmp_path / "packages", "first", lambda *_: "no index")
    same = Dependencies(("numpy>=1",), ("numpy>=1",))
    assert same.overlay(tmp_path, "x") == (None, [])
    other = Dependencies(("numpy>=1.1", "x; python_version < '3'"), ("numpy>=1",))
    folder, said = other.overlay(tmp_path, "x")
    assert folder is None
    assert "this environment satisfies them" in said[0]


def test_pythonpath_of_the_user_stays_behind_the_sides_own(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(["/user", str(repository.root / "src")]))
    here = side(repository, tmp_path, repository.root / "src")
    assert here.environment()["PYTHONPATH"].split(os.pathsep) == [str(repository.root / "src"), "/user"]
