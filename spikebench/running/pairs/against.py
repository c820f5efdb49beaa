"""What this side is compared with, made ready: another commit, another checkout, or another environment."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from spikebench.core.errors import InputError
from spikebench.core.suite import Suite
from spikebench.running.pairs.checkout import Repository
from spikebench.running.pairs.dependencies import Dependencies
from spikebench.running.pairs.sides import Side, other_checkout, other_environment, suite_text, this_side


@dataclasses.dataclass(frozen=True, slots=True)
class Other:
    """One of the three is given. Raises InputError where none or several are."""

    ref: str | None = None
    python: Path | None = None
    folder: Path | None = None

    def __post_init__(self) -> None:
        given = [name for name in ("ref", "python", "folder") if getattr(self, name) is not None]
        if len(given) != 1:
            raise InputError("compare with one other side: --against-ref, --against-python or --against-dir")


@dataclasses.dataclass(frozen=True)
class Sides:
    """``notes``: what a reader of the verdicts must know of them."""

    base: Side
    new: Side
    notes: tuple[str, ...]

    @property
    def roots(self) -> list[Path]:
        """The folders whose modules a process must say that it imported."""
        return [side.root for side in (self.base, self.new) if side.root is not None]


def prepare(suite: Suite, path: Path, other: Other, scratch: Path) -> Sides:
    """Both sides of a comparison; files of another commit go into ``scratch``.

    Raises InputError for a ref, an interpreter or a folder that cannot be used; nothing in the repository is changed.
    """
    text = suite_text(suite, path)
    if other.ref is not None:
        return _commit(path, text, other.ref, scratch)
    root = project_root(path)
    new = this_side(path, text, root, scratch / "new")
    if other.python is not None:
        base = other_environment(new, other.python, scratch / "base")
        return Sides(base, new, (f"the other side is whatever {other.python} has installed",))
    assert other.folder is not None
    folder = other.folder.resolve()
    if not folder.is_dir():
        raise InputError(f"--against-dir: {other.folder} is no folder")
    if folder == root:
        raise InputError(f"--against-dir: {other.folder} is this very project; name another checkout of it")
    if path.resolve().is_relative_to(root) and not any((folder / part).exists() for part in _parts(root)):
        raise InputError(f"--against-dir: {other.folder} has none of {', '.join(_parts(root))}: it is no checkout of {root}")
    return Sides(other_checkout(new, folder, scratch / "base", str(other.folder)), new, _local(path))


def project_root(path: Path) -> Path:
    """The repository around the suite, or around the working folder; without one, the suite's folder."""
    for start in (path, Path.cwd() / "-"):
        try:
            return Repository.around(start).root
        except InputError:
            continue
    return path.resolve().parent


def _commit(path: Path, text: str, ref: str, scratch: Path) -> Sides:
    repository = _repository(path)
    commit = repository.resolve(ref)
    new = this_side(path, text, repository.root, scratch / "new")
    notes = [f"the other side is {repository.describe(commit)}, without anything that git does not track"]
    changed = repository.changed()
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        notes.append(f"this side has changes that are not committed, and is measured with them: {', '.join(changed[:3])}{more}")
    elif commit == repository.head():
        notes.append("both sides are the same commit: what is found is noise")
    files = repository.export(commit, scratch / "checkout")
    base = other_checkout(new, files, scratch / "base", ref)
    needed = Dependencies.between(repository, commit)
    overlay, said = needed.overlay(scratch / "packages", ref)
    if overlay is not None:
        base = dataclasses.replace(base, paths=(*base.paths, str(overlay)))
    return Sides(base, new, (*notes, *said))


def _repository(path: Path) -> Repository:
    """Around the suite; a suite that lies outside of any names the working folder's."""
    try:
        return Repository.around(path)
    except InputError:
        try:
            return Repository.around(Path.cwd() / "-")
        except InputError:
            pass
        raise


def _local(path: Path) -> tuple[str, ...]:
    try:
        changed = Repository.around(path).changed()
    except InputError:
        return ()
    return (f"this side has {len(changed)} files that are not committed, and is measured with them",) if changed else ()


def _parts(root: Path) -> list[str]:
    """What a checkout of the same project has too."""
    names = [name for name in ("pyproject.toml", "setup.py", "setup.cfg", "src") if (root / name).exists()]
    return names or sorted(path.name for path in root.iterdir() if not path.name.startswith("."))[:5]
