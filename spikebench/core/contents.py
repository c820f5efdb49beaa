"""What the files of a package hold, as one number: code that was edited is other code, committed or not."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, EntryPoint
from pathlib import Path

NOT_CODE = ("__pycache__", ".dist-info", ".egg-info")
"""Ends of folders whose files change without the code."""


def digest_of(files: Iterable[tuple[str, Path]]) -> str:
    """16 hexadecimal digits of names and bytes, in whatever order they come; a file that cannot be read counts by its name."""
    whole = hashlib.sha256()
    for name, path in sorted(set(files)):
        try:
            own = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            own = "unreadable"
        whole.update(f"{name}\0{own}\n".encode())
    return whole.hexdigest()[:16]


def package_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file below a package's folder by its path there, data files and files that no commit knows among them."""
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if _is_code(name) and path.is_file():
            yield f"{folder.name}/{name}", path


def plugin_files(entry: EntryPoint) -> Iterator[tuple[str, Path]]:
    """What an entry point can load: its distribution's files, and its module where that is installed in place (editable)."""
    yield from _distribution_files(entry.dist)
    top = entry.module.partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return
    for folder in (spec and spec.submodule_search_locations) or ():
        yield from package_files(Path(folder))
    if spec and spec.origin and not spec.submodule_search_locations:
        yield Path(spec.origin).name, Path(spec.origin)


def _distribution_files(distribution: Distribution | None) -> Iterator[tuple[str, Path]]:
    for file in (distribution and distribution.files) or ():
        path = Path(str(file.locate()))
        # Scripts lie outside of the place where modules are found, and are written anew by every installer.
        if ".." not in file.parts and _is_code(file.as_posix()) and path.is_file():
            yield file.as_posix(), path


def _is_code(name: str) -> bool:
    *folders, last = name.split("/")
    hidden = last.startswith(".") or last.endswith(("~", ".pyc"))
    return not hidden and not any(folder.endswith(NOT_CODE) for folder in folders)
