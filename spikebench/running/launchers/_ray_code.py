"""The code that Ray's workers run: the driver's, sent along, and what must be the same on a node that it cannot bring."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import spikebench
from spikebench.core import source
from spikebench.core.contents import package_files, plugin_files
from spikebench.core.source import package_version

Versions = Mapping[str, str]


def stage(folder: Path) -> Path:
    """Put spikebench and the installed plugins side by side into ``folder``, with what tells Python that they are plugins.

    Only files: a plugin's dependencies must be installed on the nodes.
    """
    for name, path in _files():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return folder


def _files() -> Iterator[tuple[str, Path]]:
    yield from package_files(Path(spikebench.__file__).parent)
    for entries in source.plugins().values():
        for entry in entries:
            yield from plugin_files(entry)
            for file in (entry.dist and entry.dist.files) or ():
                path = Path(str(file.locate()))
                if file.parts[0].endswith(".dist-info") and path.is_file():
                    yield file.as_posix(), path


def versions() -> Versions:
    """Of this process. torch's without what it was built for: a driver need not have a GPU's."""
    torch = package_version("torch") or "none"
    return {"Python": platform.python_version(), "torch": torch.partition("+")[0], "spikebench": spikebench.__version__}


def difference(there: tuple[Versions, Mapping[str, Any]], here: tuple[Versions, Mapping[str, Any]]) -> str:
    """How a worker's versions and source differ from the driver's, both told; "" if they do not."""
    found = [f"{name} {there[0].get(name, 'none')}, not {own}" for name, own in here[0].items() if there[0].get(name) != own]
    return ", ".join(found or source.changed(here[1], there[1]))
