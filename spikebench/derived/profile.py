"""Energy profiles: what an operation costs, read from TOML."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from spikebench.core.choice import build_options
from spikebench.core.errors import InputError, Problem
from spikebench.core.registry import REGISTRIES


@dataclasses.dataclass(frozen=True, slots=True)
class Profile:
    """Joules per operation. A term that is None is not modelled: the profile says so in ``leaves_out``.

    ``mac``, ``ac``: multiply-accumulate, accumulate. ``membrane``: per membrane access (one read and one write at each update).
    ``convention``: the one it was published with, and the rules that it changes (see ``conventions.Rules``).
    """

    name: str
    mac: float
    ac: float
    source: str
    technology: str = ""
    leaves_out: tuple[str, ...] = ()
    convention: str = "events"
    rules: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class _Energy:
    mac: float
    ac: float


@dataclasses.dataclass(frozen=True)
class _File:
    source: str
    energy: _Energy
    technology: str = ""
    leaves_out: tuple[str, ...] = ()
    convention: dict[str, Any] = dataclasses.field(default_factory=dict)


@cache
def load_profile(name: str) -> Profile:
    """A registered profile by its name, or a TOML file of one's own by its path (``*.toml``).

    Raises InputError for an unknown name, a file that is missing or is not TOML, and for keys and values that a profile cannot
    have.
    """
    path = Path(name) if name.endswith(".toml") else REGISTRIES["profiles"].get(name)
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(Problem(f"cannot read the energy profile: {error.strerror}", file=str(path))) from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(Problem(f"not TOML: {error}", file=str(path))) from error
    try:
        file: _File = build_options(_File, data, owner="an energy profile")
    except InputError as error:
        raise InputError([dataclasses.replace(problem, file=str(path)) for problem in error.problems]) from error
    rules = dict(file.convention)
    convention = str(rules.pop("name", "events"))
    return Profile(
        name=Path(path).stem,
        mac=file.energy.mac,
        ac=file.energy.ac,
        source=file.source,
        technology=file.technology,
        leaves_out=file.leaves_out,
        convention=convention,
        rules=rules,
    )
