"""Records, the cells they belong to and the suite that asked for them, as one thing to read from."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spikebench.core.errors import InputError, StorageError, nearest
from spikebench.core.garbage import not_searched
from spikebench.core.job_files import JobFile
from spikebench.core.metrics import Metric, catalogue, learn
from spikebench.core.records import Record
from spikebench.core.registry import REGISTRIES
from spikebench.core.store import ResultsFolder
from spikebench.reading.model import factors
from spikebench.reading.model.distinct import Distinct
from spikebench.reading.model.factors import Factor
from spikebench.reading.model.questions import told_apart, with_split
from spikebench.reading.model.suite_facts import SuiteFacts

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Group:
    """Cells that differ in their seed alone: one row of a table.

    ``seeds``: cell_id -> seed. ``shown``: the factors as tables show them, without component options that all groups share.
    """

    group_id: str
    factors: Mapping[str, Factor]
    seeds: Mapping[str, int]
    shown: Mapping[str, Factor] = dataclasses.field(default_factory=dict)


class Frame:
    """All records of one or several results folders.

    ``cells``: cell_id -> the cell as stored (``Cell.to_plain``). ``notices``: what could not be read, each naming its file.
    ``remarks``: what was left out or told apart although it can be read. ``devices``: job_id -> ``cpu`` or ``cuda``.
    ``metrics``: declarations by name; those of all harnesses and derivations if not given. ``folders``: where it was read from.
    """

    def __init__(
        self,
        records: Iterable[Record],
        cells: Mapping[str, Mapping[str, Any]],
        machines: Mapping[str, Mapping[str, Any]] | None = None,
        sources: Mapping[str, Mapping[str, Any]] | None = None,
        suite: SuiteFacts | None = None,
        notices: Iterable[str] = (),
        metrics: Mapping[str, Metric] | None = None,
        folders: Iterable[str | Path] = (),
        remarks: Iterable[str] = (),
        devices: Mapping[str, str] | None = None,
    ) -> None:
        self.records: tuple[Record, ...] = tuple(records)
        self.cells = cells
        self.devices = devices or {}
        self.machines = machines or {}
        self.sources = sources or {}
        self.suite = suite or SuiteFacts()
        self.notices: tuple[str, ...] = tuple(notices)
        self.remarks: tuple[str, ...] = tuple(remarks)
        self._metrics = metrics
        self.folders: tuple[Path, ...] = tuple(map(Path, folders))

    def __len__(self) -> int:
        return len(self.records)

    def only(self, cells: Mapping[str, Mapping[str, Any]], records: Iterable[Record]) -> Frame:
        """A part of it: the same suite, folders and notices."""
        facts = (self.machines, self.sources, self.suite, self.notices, self._metrics, self.folders, self.remarks, self.devices)
        return Frame(records, cells, *facts)

    @cached_property
    def cell_factors(self) -> Mapping[str, dict[str, Factor]]:
        """cell_id -> its flat factors, seed included."""
        found = {cell_id: factors.flatten(cell) for cell_id, cell in self.cells.items()}
        rows = {cell_id: row for cell_id, row in found.items() if cell_id not in self.stages}
        return {**found, **factors.with_recipes(rows, self.suite.recipes)} if self.suite.recipes else found

    def factors(self) -> list[str]:
        """The variant, data and training fields that differ between cells; what the columns of a table must tell."""
        return list(self._factors)

    @cached_property
    def _factors(self) -> list[str]:
        rows = {cell_id: row for cell_id, row in self.cell_factors.items() if cell_id not in self.stages}
        return factors.differing(list((rows or self.cell_factors).values()))

    @cached_property
    def stages(self) -> frozenset[str]:
        """cell_ids of pre-trainings that other cells begin with, and that nothing else was measured of: no rows of a table."""
        own = {metric.name for metric in REGISTRIES["harnesses"].get("pretrain").metrics}
        found = {cell_id for cell_id, cell in self.cells.items() if cell.get("pretraining") and not cell.get("training")}
        return frozenset(found - {record.cell_id for record in self.records if record.metric not in own} if found else ())

    @cached_property
    def groups(self) -> Mapping[str, Group]:
        """group_id -> group, in the order of the suite's grid, then of the factors' values."""
        seeds: dict[str, dict[str, int]] = {}
        for cell_id, cell in self.cells.items():
            if cell_id in self.stages:
                continue
            seeds.setdefault(cell["group_id"], {})[cell_id] = cell.get("seed", 0)
        rows = {group_id: Group(group_id, self.cell_factors[next(iter(members))], members) for group_id, members in seeds.items()}
        names = self.factors()
        ordered = sorted(rows.values(), key=lambda group: [self._order(name, group.factors.get(name)) for name in names])
        shorter = factors.compact([group.factors for group in ordered])
        shown = [dataclasses.replace(group, shown=factors.shown(group.factors, shorter)) for group in ordered]
        return {group.group_id: group for group in shown}

    def name(self, group_id: str) -> str:
        """A group by its differing factors: ``stem=sps attention=ssa``."""
        return factors.name_of(self.groups[group_id].shown, self.factors())

    def short_name(self, group_id: str) -> str:
        """As ``name`` where room is scarce: words stand alone, numbers and ``none`` keep their factor (``sps ssa T=4``)."""
        row = self.groups[group_id].shown
        words = [
            factors.show(value)
            if isinstance(value := row.get(name), str) and value != "none"
            else f"{name.removeprefix('train.')}={factors.show(value)}"
            for name in self.factors()
            if row.get(name) != factors.NO_MEANING
        ]
        return " ".join(words) or self.name(group_id)

    @cached_property
    def baseline(self) -> str | None:
        """group_id of the suite's baseline; None if the suite names none. Raises InputError if it fits no group or several."""
        try:
            return factors.find(self.suite.baseline, {group_id: group.factors for group_id, group in self.groups.items()})
        except InputError as error:
            file = str(self.folders[0] / "suite.yaml") if self.folders else None
            problems = [dataclasses.replace(problem.within("report.baseline"), file=file) for problem in error.problems]
            raise InputError(problems) from None

    @cached_property
    def by_metric(self) -> Mapping[str, Sequence[Record]]:
        """metric -> its records whose cell is known."""
        found: dict[str, list[Record]] = {}
        for record in self.records:
            if record.cell_id in self.cells:
                found.setdefault(record.metric, []).append(record)
        return found

    @cached_property
    def by_group(self) -> Mapping[str, Sequence[Record]]:
        """group_id -> all records of its cells, in their order."""
        found: dict[str, list[Record]] = {}
        for record in self.records:
            group_id = self.group_of(record)
            if group_id is not None:
                found.setdefault(group_id, []).append(record)
        return found

    def group_of(self, record: Record) -> str | None:
        cell = self.cells.get(record.cell_id)
        return None if cell is None or record.cell_id in self.stages else cell["group_id"]

    def metric(self, name: str) -> Metric:
        """A metric's declaration; one that no installed package declares is known by its records alone."""
        known = catalogue() if self._metrics is None else self._metrics
        if name in known:
            return known[name]
        record = next((record for record in self.records if record.metric == name), None)
        if record is None:
            raise InputError(f"no record of {name!r} here{nearest(name, {r.metric for r in self.records})}")
        return Metric(name, record.unit, None, record.kind, title=name.replace("_", " "))

    def machine_name(self, machine_id: str) -> str:
        """What a person calls the machine: its GPUs, or its CPU and threads."""
        facts = self.machines.get(machine_id, {})
        devices = facts.get("gpus") or [facts.get("cpu") or f"machine {machine_id}"]
        threads = None if facts.get("gpus") else facts.get("threads")
        words = f", {threads} thread{'' if threads == 1 else 's'}" if threads else ""
        return f"{', '.join(dict.fromkeys(map(str, devices)))}{words}"

    def to_pandas(self) -> pd.DataFrame:
        """One row per record: metric, value, unit, kind, scope, status, reason, ``n`` samples, a column ``condition:NAME`` for
        each condition, every factor that any cell has (seed and dataset among them), and the five ids.

        ``value`` is float64, NaN where there is none; counts up to 2**53 stay exact.
        """
        from spikebench.reading.model.table import table

        return table(self.records, self.cell_factors, {cell_id: cell["group_id"] for cell_id, cell in self.cells.items()})

    def _order(self, name: str, value: Factor) -> tuple[int, int, float, str]:
        is_number = isinstance(value, (int, float))
        return (self.suite.rank(name, value), not is_number, float(value) if is_number else 0.0, str(value))  # type: ignore[arg-type]


@not_searched()
def load_results(*folders: str | Path, known: dict[Path, Any] | None = None) -> Frame:
    """Read results folders into one frame, derived records (energy) included.

    The first folder's suite says how to report. A record that two folders share (same job, machine, metric, conditions and scope)
    is kept once, of the first. Metrics of plugins and own files that are not here mean what the folders say. Raises StorageError
    for what is no results folder, and if of what is there no job can be read; else damaged files are left out and named in
    ``notices``. ``known``: files that were read already (``ResultsFolder``).
    """
    if not folders:
        raise InputError("no results folder given")
    files: list[JobFile] = []
    cells: dict[str, Any] = {}
    machines: dict[str, Any] = {}
    sources: dict[str, Any] = {}
    suites: list[SuiteFacts] = []
    notices: list[str] = []
    remarks: list[str] = []
    for path in folders:
        folder = ResultsFolder(path, known).require()
        suites.append(SuiteFacts.parse(folder.suite_text(), str(folder.path / "suite.yaml")))
        cells = {**folder.cells(), **cells}
        machines = {**folder.machines(), **machines}
        sources = {**folder.sources(), **sources}
        files += folder.job_files()
        notices += folder.notices
        remarks += folder.remarks
    if notices and not files:
        more = f" (and {len(notices) - 1} more)" if len(notices) > 1 else ""
        raise StorageError(f"{', '.join(map(str, folders))}: nothing here can be read: {notices[0]}{more}")
    headers = {str(file.header["job_id"]): file.header for file in files}
    measured_by = dict.fromkeys(str(file.header["source_id"]) for file in files)
    learn(declared for name in measured_by for declared in sources.get(name, {}).get("metrics") or ())
    distinct = Distinct()
    whole = {file.header["job_id"] for file in files if file.done}
    for file in files:
        # What has failed in one folder may be finished in another.
        if file.done or file.header["job_id"] not in whole:
            job = (file.header["job_id"], file.header["cell_id"], file.header["machine_id"])
            distinct.add(job, with_split(file.records, file.header))
    own = distinct.records
    lost = sorted({record.cell_id for record in own} - set(cells))
    notices += [f"cells/{cell_id}.json is missing: its records are in no table" for cell_id in lost]
    derived: list[Record] = []
    for kind, name in dict.fromkeys(asked for suite in suites for asked in suite.asked):
        try:
            derived += derive(own, **{kind: [name]})
        except InputError as error:  # a file of the user's own may not be on the machine that reads
            notices.append(f"no energy {'under the profile' if kind == 'profiles' else 'on the chip'} {name}: {error}")
    found, told = told_apart([*own, *derived], headers)
    devices = {job_id: str(header["device"]) for job_id, header in headers.items() if "device" in header}
    remarks += _apart(told)
    return Frame(found, cells, machines, sources, suites[0], notices, folders=folders, remarks=remarks, devices=devices)


def derive(records: Sequence[Record], profiles: Sequence[str] = (), chips: Sequence[str] = ()) -> list[Record]:
    """What the derivations make of the records for these profiles and chips: nothing is measured again."""
    asked = {"profiles": profiles, "chips": chips}
    found: list[Record] = []
    for name in REGISTRIES["derivations"]:
        derivation = REGISTRIES["derivations"].get(name)()
        asks = getattr(derivation, "asks", "profiles")
        if asked[asks]:
            found += derivation(records, **{asks: asked[asks]})
    return found


def _apart(told: Mapping[str, set[str]]) -> list[str]:
    """What a reader is told of metrics that several jobs measured differently."""
    by_names: dict[str, list[str]] = {}
    for metric, names in told.items():
        by_names.setdefault(", ".join(sorted(names)), []).append(metric)
    return [f"{', '.join(metrics)}: measured with different {names}, and so kept apart" for names, metrics in by_names.items()]
