"""The two sides of a comparison: which Python runs which files, and the suite as each side reads it."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from spikebench.core import allocator, yaml_nodes
from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.core.suite import Suite


@dataclasses.dataclass(frozen=True)
class Side:
    """``name``: what messages call it. ``paths``: put before all else that its Python imports from. ``suite``: where the suite's
    file is, or would be, on this side; ``text``: what it says, the same on both sides. ``root``: the folder whose code it is;
    None for another environment, which has its code where it has it. ``folder``: where its weights and records go. ``extra``:
    variables of its environment alone."""

    name: str
    python: str
    paths: tuple[str, ...]
    suite: Path
    text: str
    folder: Path
    root: Path | None = None
    extra: Mapping[str, str] = dataclasses.field(default_factory=dict)

    def environment(self) -> dict[str, str]:
        """Of its processes: this one's, with its own code before all other."""
        kept = [part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part and part not in self.paths]
        paths = os.pathsep.join([*self.paths, *kept])
        return {**os.environ, **allocator.for_any_version(), "PYTHONPATH": paths, **self.extra}


def import_roots(root: Path) -> list[Path]:
    """The folders below ``root`` that Python here imports spikebench, its plugins, or whatever is on its path from."""
    found = [Path(entry) for entry in sys.path if entry]
    packages = {"spikebench", *(entry.module.partition(".")[0] for name in REGISTRIES for entry in _entries(name))}
    for package in sorted(packages):
        spec = importlib.util.find_spec(package)
        if spec is not None and spec.origin:
            found.append(Path(spec.origin).parent.parent)
        elif spec is not None:
            found += [Path(place).parent for place in spec.submodule_search_locations or ()]
    return list(dict.fromkeys(path for path in (path.resolve() for path in found) if is_code_of(path, root)))


def is_code_of(path: Path, root: Path) -> bool:
    """Whether a path belongs to the project in ``root``, and not to an environment that lies in it."""
    return path.is_relative_to(root) and not any(
        path.is_relative_to(prefix) and prefix != root and prefix.is_relative_to(root) for prefix in _prefixes()
    )


def moved(path: Path, root: Path, other: Path) -> Path:
    """The same place below another folder."""
    return other / path.relative_to(root)


def suite_text(suite: Suite, path: Path) -> str:
    """The suite as both sides read it: its own text, or, where it names files of the user's that no commit has (images, a
    checkpoint), with their full paths."""
    text = path.read_text(encoding="utf-8")
    given: Any = yaml_nodes.parse(text, str(path)).data
    full: dict[str, Any] = {}
    if "root" in suite.dataset.options:
        full["dataset"] = {suite.dataset.name: {**suite.dataset.options, "root": str(suite.dataset.options["root"])}}
    if suite.weights is not None:
        full["weights"] = {**given["weights"], "path": str(Path(suite.weights.path).resolve())}
    if not full:
        return text
    import yaml

    return yaml.safe_dump({**given, **full}, sort_keys=False, allow_unicode=True)


def this_side(path: Path, text: str, root: Path, folder: Path, name: str = "this side") -> Side:
    """What lies here, run by this Python."""
    return Side(name, sys.executable, tuple(map(str, import_roots(root))), path.resolve(), text, folder, root)


def other_checkout(here: Side, other: Path, folder: Path, name: str) -> Side:
    """The same project in another folder, run by this Python. Raises InputError where nothing of this project is imported from
    its folder, so that both sides would be the same code."""
    assert here.root is not None
    roots = [Path(path) for path in here.paths]
    inside = here.suite.is_relative_to(here.root)
    if not roots and not (inside and _has_own_files(here)):
        spec = importlib.util.find_spec("spikebench")
        place = spec.origin if spec else "nowhere"
        raise InputError(
            f"nothing that the suite runs comes from {here.root} (spikebench is {place}): both sides would be the same code; "
            "install the project with `pip install -e .`, or name another environment with --against-python"
        )
    paths = tuple(str(moved(path, here.root, other)) for path in roots)
    suite = moved(here.suite, here.root, other) if inside else here.suite
    return dataclasses.replace(here, name=name, paths=paths, suite=suite, folder=folder, root=other)


def other_environment(here: Side, python: Path, folder: Path) -> Side:
    """Another Python with all that is installed there. Raises InputError if it cannot be started."""
    if not (python.is_file() and os.access(python, os.X_OK)):
        raise InputError(f"--against-python: {python} is no program that can be started")
    return dataclasses.replace(here, name=str(python), python=str(python), paths=(), folder=folder, root=None)


def _has_own_files(side: Side) -> bool:
    from spikebench.core import own_files

    return any(side.root is not None and path.resolve().is_relative_to(side.root) for path in own_files.in_use().paths)


def _entries(registry: str) -> Iterator[Any]:
    yield from entry_points(group=f"spikebench.{registry}")


def _prefixes() -> Sequence[Path]:
    return [Path(prefix).resolve() for prefix in {sys.prefix, sys.base_prefix}]


def check_origins(side: Side, files: Mapping[str, str], other: Path | None) -> None:
    """That a side ran its own code. ``files``: module -> file, of what it imported below either root.

    Raises InputError naming a module that came from the other side's folder, or if nothing came from its own.
    """
    if side.root is None:
        return
    own = [name for name, file in files.items() if Path(file).resolve().is_relative_to(side.root)]
    strays = [name for name in files if name not in own and other is not None and is_code_of(Path(files[name]).resolve(), other)]
    if strays:
        raise InputError(
            f"{side.name}: {strays[0]} was imported from the other side ({files[strays[0]]}), so nothing can be compared"
        )
    if not own:
        raise InputError(f"{side.name}: nothing that ran comes from {side.root}, so nothing can be compared")
