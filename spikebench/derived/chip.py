"""Chips: what an event, a neuron, a message and a time step cost there and what fits on one, read from TOML.

There are two kinds: many cores that spikes are sent between (a table ``[core]``), and an array of processing elements that layers
are run on one after another (``[array]``). Amounts are written with their units: ``"35.5 pJ"``, ``"3.8 ns"``.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from functools import cache, partial
from typing import Any, Literal

from spikebench.core.choice import build_options
from spikebench.core.errors import InputError, Problem
from spikebench.core.quantity import parse_quantity
from spikebench.core.text import shorten
from spikebench.derived import toml_file

Basis = Literal["measured", "simulated", "stated"]


@dataclasses.dataclass(frozen=True, slots=True)
class Synapse:
    """Of one synaptic event: in a ``dense`` layer, with ``sparse`` connections (a product element by element), in a
    ``convolution``.
    """

    dense: float
    sparse: float
    convolution: float


@dataclasses.dataclass(frozen=True, slots=True)
class Hop:
    """From tile to tile along the mesh's width (``x``) and height (``y``)."""

    x: float = 0.0
    y: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class CoreEnergy:
    """Joules. ``access``, ``update``: of each neuron at each step. ``spike``: of each spike, where it is made; ``message``: for
    each core that it is sent to. ``static``: watts of one chip.
    """

    synapse: Synapse
    access: float = 0.0
    update: float = 0.0
    spike: float = 0.0
    message: float = 0.0
    hop: Hop = Hop()
    static: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class CoreTime:
    """Seconds, of what a core does one after another. ``message_out``, ``message_in``: of a message where it is sent and where it
    arrives. ``barrier``: (tiles in use, seconds) points of the barrier that ends a step, linear between them.
    """

    synapse: Synapse
    access: float = 0.0
    update: float = 0.0
    spike: float = 0.0
    message_out: float = 0.0
    message_in: float = 0.0
    hop: Hop = Hop()
    barrier: tuple[tuple[float, float], ...] = ((1, 0.0),)

    def barrier_of(self, tiles: int) -> float:
        """Of a step in which so many tiles take part."""
        points = self.barrier
        for (a, low), (b, high) in itertools.pairwise(points):
            if tiles <= b:
                return low if tiles <= a else low + (high - low) * (tiles - a) / (b - a)
        return points[-1][1]


@dataclasses.dataclass(frozen=True, slots=True)
class Core:
    """``per_chip`` cores, ``per_tile`` of them behind each router of a ``mesh`` of tiles (width, height). A core has room for
    ``neurons`` and for ``memory`` bytes of synapses of ``weight_bits``, and receives from ``fan_in`` sources.

    ``shares_weights``: neurons of one channel share their weights within a core, as in a convolution. ``graded``: a message
    carries a number, so a count of k spikes is one message and one event, not k.
    """

    per_chip: int
    neurons: int
    memory: float
    weight_bits: int
    fan_in: int
    per_tile: int = 1
    mesh: tuple[int, int] = (1, 1)
    shares_weights: bool = False
    graded: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class ArrayEnergy:
    """Joules. ``mac``: a multiply-accumulate of 8-bit numbers; ``ac``: an addition of a weight; ``idle``: a cycle with nothing to
    add. ``sram``, ``dram``: of a bit read or written. ``update``: of a neuron. ``static``: watts.
    """

    mac: float
    ac: float
    idle: float = 0.0
    sram: float = 0.0
    dram: float = 0.0
    update: float = 0.0
    static: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Array:
    """``rows`` x ``columns`` elements, each of which does one operation a cycle for ``steps`` time steps at once.

    ``dataflow``: ``weight`` stays in its element (rows: inputs of a neuron, columns: channels), or ``output`` does (rows:
    positions, columns: channels). ``skips_zeros``: cycles and additions are those of events alone. ``sram``: bytes of the buffer;
    what is larger is fetched from DRAM. ``membranes``: where potentials wait between steps; ``none`` where all steps are done at
    once.
    """

    rows: int
    columns: int
    clock: float
    sram: float
    dataflow: Literal["weight", "output"] = "weight"
    steps: int = 1
    skips_zeros: bool = False
    weight_bits: int = 8
    activation_bits: int = 8
    accumulator_bits: int = 24
    membranes: Literal["sram", "none"] = "sram"

    @property
    def throughput(self) -> float:
        """Operations a second if no element ever waits."""
        return self.rows * self.columns * self.steps * self.clock


@dataclasses.dataclass(frozen=True, slots=True)
class _Head:
    version: int
    source: str
    basis: Basis
    technology: str
    leaves_out: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class _CoreFile(_Head):
    core: Core
    energy: CoreEnergy | None = None
    time: CoreTime | None = None
    step: float | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class _ArrayFile(_Head):
    array: Array
    energy: ArrayEnergy | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Chip:
    """One chip model. ``basis``: whether its figures were ``measured`` on silicon, ``simulated``, or ``stated``, and it is
    not said how. ``leaves_out``: what it does not model.

    Exactly one of ``core`` and ``array`` is there. Of ``energy`` and time (``time``, or a fixed ``step`` in seconds) what is not
    public is None.
    """

    name: str
    version: int
    source: str
    basis: Basis
    technology: str
    leaves_out: tuple[str, ...]
    core: Core | None = None
    array: Array | None = None
    core_energy: CoreEnergy | None = None
    array_energy: ArrayEnergy | None = None
    time: CoreTime | None = None
    step: float | None = None


UNITS = {
    "energy": "J",
    "time": "s",
    "step": "s",
    "energy.static": "W",
    "core.memory": "B",
    "array.sram": "B",
    "array.clock": "Hz",
}
"""Of the amounts in a chip's file; the longest path that an amount's own begins with says its unit."""


@cache
def load_chip(name: str) -> Chip:
    """A registered chip by its name, or a TOML file of one's own by its path (``*.toml``), afterwards by its name too.

    Raises InputError for an unknown name, a file that cannot be read, and at its line for a key that a chip does not have, an
    amount without a unit, and a number that cannot be.
    """
    path = toml_file.find("chips", name)
    file = toml_file.read(path, "chip", _checked)
    told = {field.name: getattr(file, field.name) for field in dataclasses.fields(_Head)}
    if isinstance(file, _ArrayFile):
        return Chip(path.stem, **told, array=file.array, array_energy=file.energy)
    return Chip(path.stem, **told, core=file.core, core_energy=file.energy, time=file.time, step=file.step)


def _checked(data: Mapping[str, Any]) -> _CoreFile | _ArrayFile:
    kinds = [kind for kind in ("core", "array") if kind in data]
    if len(kinds) != 1:
        raise InputError(f"a chip has either a table [core] or a table [array]; got {' and '.join(kinds) or 'neither'}")
    problems: list[Problem] = []
    plain = _amounts(data, (), problems)
    try:
        file: _CoreFile | _ArrayFile = build_options(
            _CoreFile if kinds == ["core"] else _ArrayFile, plain, owner=f"a chip with [{kinds[0]}]"
        )
    except InputError as error:
        found = {problem.key for problem in problems}
        problems += [problem for problem in error.problems if problem.key not in found]
    if not problems:
        problems += _impossible(file)
    if problems:
        raise InputError(problems)
    return file


def _amounts(part: Any, path: tuple[str, ...], problems: list[Problem]) -> Any:
    """``part`` with every amount as a number in its base unit."""
    if isinstance(part, Mapping):
        return {key: _amounts(value, (*path, key), problems) for key, value in part.items()}
    unit = next((UNITS[key] for key in (".".join(path[:n]) for n in (2, 1)) if key in UNITS), None)
    if unit is None:
        return part
    if path[:2] == ("time", "barrier") and isinstance(part, list):
        return [[*point[:1], *map(partial(_amount, "s", path, problems), point[1:])] if isinstance(point, list) else point
                for point in part]  # fmt: skip
    return _amount(unit, path, problems, part)


def _amount(unit: str, path: tuple[str, ...], problems: list[Problem], value: Any) -> float:
    key = ".".join(path)
    if not isinstance(value, str):
        problems.append(Problem(f'expected an amount with its unit, as "1.5 p{unit}", got {shorten(value)}', key=key))
        return 0.0
    try:
        amount = parse_quantity(value, unit)
    except InputError as error:
        problems += [problem.within(key) for problem in error.problems]
        return 0.0
    if amount < 0:
        problems.append(Problem(f"must be at least 0, got {value}", key=key))
    return max(0.0, amount)


def _impossible(file: _CoreFile | _ArrayFile) -> Iterator[Problem]:
    """Numbers of the right kind that no chip has."""
    table = "core" if isinstance(file, _CoreFile) else "array"
    part: Any = file.core if isinstance(file, _CoreFile) else file.array
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        for number in value if isinstance(value, tuple) else (value,):
            if isinstance(number, (int, float)) and not isinstance(number, bool) and not number > 0:
                yield Problem(f"must be above 0, got {number:g}", key=f"{table}.{field.name}")
    if file.version < 1:
        yield Problem(f"must be at least 1, got {file.version}", key="version")
    if not file.leaves_out:
        yield Problem("every model leaves something out, and has to say what", key="leaves_out")
    if isinstance(file, _CoreFile):
        yield from _no_mesh(file)


def _no_mesh(file: _CoreFile) -> Iterator[Problem]:
    width, height = file.core.mesh
    tiles = -(-file.core.per_chip // file.core.per_tile)
    if file.core.mesh != (1, 1) and width * height != tiles:
        yield Problem(
            f"{width} x {height} tiles of {file.core.per_tile} cores are not {file.core.per_chip} cores", key="core.mesh"
        )
    if file.time is not None and file.step is not None:
        yield Problem("a step takes either a fixed time or what [time] says, not both", key="step")
    barrier = () if file.time is None else file.time.barrier
    if file.time is not None and (not barrier or list(barrier) != sorted(barrier)):
        yield Problem("expected [tiles, time] points with ever more tiles and no less time", key="time.barrier")
