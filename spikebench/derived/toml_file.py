"""TOML files of numbers with their sources (energy profiles, chips): found by name or path, checked against a dataclass."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from spikebench.core.errors import InputError, Problem
from spikebench.core.registry import REGISTRIES
from spikebench.core.toml_places import place, syntax_error

FileT = TypeVar("FileT")
_own: dict[tuple[str, str], str] = {}
"""(registry, name of the file without ending) -> path of every file of one's own that was read: estimates carry the name."""


def find(registry: str, name: str) -> Path:
    """A member's file, or a file of one's own by its path (``*.toml``), afterwards by its name too. Raises InputError."""
    if name.endswith(".toml"):
        _own[registry, Path(name).stem] = name
        return Path(name)
    if name not in REGISTRIES[registry] and (registry, name) in _own:
        return Path(_own[registry, name])
    return Path(REGISTRIES[registry].get(name))


def read(path: Path, what: str, check: Callable[[Mapping[str, Any]], FileT]) -> FileT:
    """``check`` of the file's content; the problems that it raises are told with their places in the file.

    ``what``: what the file should be, for errors. Raises InputError for a file that is missing or is no TOML, and for all that
    ``check`` finds.
    """
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        data = tomllib.loads(text)
    except OSError as error:
        raise InputError(Problem(f"cannot read the {what}: {error.strerror}", file=str(path))) from error
    except UnicodeDecodeError as error:
        raise InputError(Problem(f"is not UTF-8 text (byte {error.start})", file=str(path))) from error
    except tomllib.TOMLDecodeError as error:
        message, *at = syntax_error(str(error), text)
        raise InputError(Problem(f"not TOML: {message}", "", str(path), *at)) from error
    try:
        return check(data)
    except InputError as error:
        found = [(problem, *place(text, problem.key)) for problem in error.problems]
        raise InputError(
            [dataclasses.replace(p, file=str(path), line=line, column=column) for p, line, column in found]
        ) from error
