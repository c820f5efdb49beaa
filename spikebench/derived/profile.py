"""Energy profiles: what an operation costs, read from TOML."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from spikebench.core.choice import build_options
from spikebench.core.errors import InputError
from spikebench.derived import toml_file


@dataclasses.dataclass(frozen=True)
class Operation:
    """Joules of a multiply-accumulate and of an accumulate. ``low`` and ``high``: the range that sources give, where they
    differ.
    """

    mac: float
    ac: float
    low: float | None = None
    high: float | None = None

    def __post_init__(self) -> None:
        if not all(math.isfinite(joules) and joules >= 0 for joules in (self.mac, self.ac)):
            raise ValueError("mac and ac must be joules, at least 0")


@dataclasses.dataclass(frozen=True)
class Membrane:
    """Joules of one access to a membrane potential, of which an update takes ``accesses``: it is read and written."""

    access: float
    accesses: int = 2


@dataclasses.dataclass(frozen=True)
class Memory:
    """Joules of one access to a local memory, by its size, and what finding the place costs.

    ``access``: [bytes, joules] points, linear between them and constant beyond the last. ``growing``: [joules a bit, joules], a
    price that grows with the size without end, in their place. ``rule``: who says which accesses there are: ``spikingjelly``, or
    the ``authors`` of the model in their own code. ``word_bytes``: of one number.
    ``queue_bytes``: the queue that spikes wait in. ``address_add``, ``address_mac``: joules of an addition and a
    multiply-accumulate on addresses.
    """

    access: tuple[tuple[float, float], ...] = ()
    growing: tuple[float, float] | None = None
    rule: Literal["spikingjelly", "authors"] = "spikingjelly"
    word_bytes: int = 4
    queue_bytes: int = 4000
    address_add: float = 0.0
    address_mac: float = 0.0

    def __post_init__(self) -> None:
        if (self.growing is None) == (not self.access):
            raise ValueError("a memory has a price by size: either access or growing")

    def joules(self, size: float) -> float:
        """Of one access to a memory of ``size`` bytes."""
        if self.growing is not None:
            return self.growing[0] * size * 8 + self.growing[1]
        points = ((0.0, 0.0), *self.access)
        for (a, low), (b, high) in itertools.pairwise(points):
            if size <= b:
                return low + (high - low) * (size - a) / (b - a)
        return points[-1][1]


@dataclasses.dataclass(frozen=True, slots=True)
class Profile:
    """A way to charge energy. What it does not model it names in ``leaves_out``.

    ``mac``, ``ac``: joules of a multiply-accumulate and of an accumulate. ``convention``: how many of them there are, unless
    another is asked for, with the ``rules`` that this profile changes (``conventions.Rules``). ``membrane``, ``memory``: see
    there; None where not modelled. ``twin``: charge the quantised artificial network of equal capacity instead of this one.
    """

    name: str
    mac: float
    ac: float
    source: str
    technology: str = ""
    leaves_out: tuple[str, ...] = ()
    convention: str = "events"
    rules: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    range: tuple[float, float] | None = None
    membrane: Membrane | None = None
    memory: Memory | None = None
    twin: bool = False


@dataclasses.dataclass(frozen=True)
class _File:
    source: str
    energy: Operation
    technology: str = ""
    leaves_out: tuple[str, ...] = ()
    convention: dict[str, Any] = dataclasses.field(default_factory=dict)
    membrane: Membrane | None = None
    memory: Memory | None = None
    twin: bool = False


@cache
def load_profile(name: str) -> Profile:
    """A registered profile by its name, or a TOML file of one's own by its path (``*.toml``), afterwards by its name too.

    Raises InputError for an unknown name, a file that is missing or is not TOML, and for keys and values that a profile cannot
    have.
    """
    path = toml_file.find("profiles", name)
    file, convention, rules = toml_file.read(path, "energy profile", _checked)
    low, high = file.energy.low, file.energy.high
    return Profile(
        name=path.stem,
        mac=file.energy.mac,
        ac=file.energy.ac,
        source=file.source,
        technology=file.technology,
        leaves_out=file.leaves_out,
        convention=convention,
        rules=rules,
        range=None if low is None or high is None else (low, high),
        membrane=file.membrane,
        memory=file.memory,
        twin=file.twin,
    )


def _checked(data: Mapping[str, Any]) -> tuple[_File, str, dict[str, Any]]:
    """The file, the name of its convention and the rules that it changes."""
    from spikebench.derived.conventions import rules_of

    file: _File = build_options(_File, data, owner="an energy profile")
    rules = dict(file.convention)
    convention = str(rules.pop("name", "events"))
    try:
        rules_of(convention, **rules)
    except InputError as error:
        raise InputError([problem.within("convention") for problem in error.problems]) from error
    return file, convention, rules
