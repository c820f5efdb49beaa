"""What ``check --against-ref``, ``--against-python`` and ``--against-dir`` do: both sides measured in this session, in turns."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from spikebench.core.console import standard_error
from spikebench.core.errors import InputError, SpikebenchError
from spikebench.core.metrics import metric
from spikebench.core.quantity import duration
from spikebench.core.suite import Suite
from spikebench.core.suite_reader import load
from spikebench.derived.paired_rule import PairedRule
from spikebench.reading.gate.calibration import Calibration
from spikebench.reading.gate.check import Gate, check
from spikebench.reading.gate.moved import work
from spikebench.reading.gate.paired import DEFAULT, Times
from spikebench.reading.gate.timed import Key, Medians, Timed
from spikebench.reading.gate.tolerances import Tolerances
from spikebench.reading.model.frame import Frame, load_results
from spikebench.reading.reports.document import Block
from spikebench.running.jobs import rules
from spikebench.running.pairs.against import Other, Sides, prepare
from spikebench.running.pairs.processes import Member, SideFailedError, abreast, ask, crew, scratch_folder
from spikebench.running.pairs.rounds import Comparison
from spikebench.running.pairs.sides import check_origins

BASE, NEW, AGAIN = "base", "new", "again"
LEAST_WINDOW = 0.3
NOISES = (0.01, 0.05)
NOTHING_TIMED = "the suite times nothing, so nothing was measured in pairs: `latency` in its `measure` does"


@dataclasses.dataclass(frozen=True, slots=True)
class Effort:
    """``seconds``: in which rounds begin; None: as many as the rule asks. ``window``: seconds that one process measures each
    timing job. ``calibrations``: the folder where calibrations are kept. ``alone``: processes are timed one after the other, not
    abreast, where memory holds no more than one. Raises InputError for a window below LEAST_WINDOW."""

    seconds: float | None = None
    window: float = 0.5
    calibrations: Path = Path("results/calibration")
    alone: bool = False

    @property
    def protocol(self) -> dict[str, Any]:
        """How a process is measured: a calibration holds for no other way."""
        return {"window": self.window, "alone": self.alone}

    def __post_init__(self) -> None:
        if not self.window >= LEAST_WINDOW:
            raise InputError(f"--window: must be {LEAST_WINDOW} s or more, got {self.window:g}: below, other processes decide")


def seconds_of(max_time: str | None) -> float | None:
    """What ``--max-time`` says. Raises InputError."""
    try:
        return duration(max_time)
    except InputError as error:
        raise InputError([problem.within("--max-time") for problem in error.problems]) from None


def check_against(path: Path, other: Other, effort: Effort) -> Gate:
    """Measure both sides and judge: counts once a side, exactly; times in pairs.

    Raises InputError for a side that cannot be measured, and for a tolerance that this machine cannot hold in the time given.
    """
    suite = load(path, rules)
    console = standard_error()
    with scratch_folder() as scratch:
        sides = prepare(suite, path, other, scratch)
        for note in sides.notes:
            console.print(f"note: {note}", soft_wrap=True)
        people = {BASE: sides.base, NEW: sides.new, AGAIN: sides.new}
        with crew(people, scratch) as members:
            counted = {name: _count(members[name], sides, console) for name in (BASE, NEW)}
            old, new = (load_results(side.folder / "results") for side in (sides.base, sides.new))
            gate = check(old, new)
            gate = dataclasses.replace(gate, notices=(*sides.notes, *gate.notices))
            if not counted[NEW]["timing"]:
                return dataclasses.replace(gate, notices=(*gate.notices, NOTHING_TIMED))
            times = _times(
                suite, sides, Measuring(members, counted, sides.roots, effort.window, effort.alone), new, effort, console
            )
            return gate.with_times(times.judgements(), _power(times))


def _count(member: Member, sides: Sides, console: Any) -> dict[str, Any]:
    side = member.side
    console.print(f"{side.name}: counting", soft_wrap=True)
    answer = ask(member, {"task": "counting"}, sides.roots)
    check_origins(side, answer["files"], next((root for root in sides.roots if root != side.root), None))
    return answer


def _times(suite: Suite, sides: Sides, measure: Measuring, new: Frame, effort: Effort, console: Any) -> Times:
    there, here = (measure.counted[name] for name in (BASE, NEW))
    names = names_of(suite, new)
    tolerances = Tolerances.parse(suite.check)
    calibration = Calibration.find(effort.calibrations, suite.name, str(here["machine_id"]), effort.protocol)
    blank = Times(Medians(), {}, {}, PairedRule(), tolerances, Metrics(), names, {})
    rule = calibration.rule(blank.allowed, effort.seconds, len((BASE, NEW, AGAIN))) if calibration else PairedRule()
    for line in calibration.before(rule, blank.allowed, names) if calibration else _uncalibrated(blank, rule):
        console.print(line, soft_wrap=True)
    comparison = Comparison(
        (BASE, NEW, AGAIN), measure, rule, blank.allowed, effort.seconds or float("inf"),
        tell=lambda done, planned, seconds: console.print(f"round {done} of {planned}, {seconds:.0f} s", soft_wrap=True),
    )  # fmt: skip
    comparison.run()
    ended = f"the time given was up after {comparison.rounds} rounds" if comparison.out_of_time else ""
    reasons = dict.fromkeys(str(reason) for side in (there, here) for reason in side["work"])
    before, after = (load_results(side.folder / "work") for side in (sides.base, sides.new))
    found = work(before, after, "; ".join(reasons))
    groups = {place: cell.group_id for place, cell in enumerate(suite.cells)}
    return dataclasses.replace(
        blank, medians=comparison.medians, decisions=comparison.decisions, controls=comparison.controls, rule=comparison.rule,
        groups=groups, work=found, ended=ended,
    )  # fmt: skip


@dataclasses.dataclass
class Measuring:
    """Runs a process of each member of a round, abreast unless ``alone``; see ``rounds.Measure``. ``counted``: what each side's
    counting answered, by a member's name; a control's is that of the side it repeats. ``window``: seconds."""

    members: Mapping[str, Member]
    counted: Mapping[str, Mapping[str, Any]]
    roots: list[Path]
    window: float
    alone: bool = False
    random: Random = dataclasses.field(default_factory=lambda: Random(0))

    def __call__(self, names: Sequence[str], keys: Sequence[Key]) -> Mapping[str, Timed]:
        orders = {name: self._order(name, keys) for name in names}
        for together in [{name: orders[name]} for name in names] if self.alone else [orders]:
            abreast(self.members, together, self.roots, self.random, turns=not self.alone)
        return {name: self._timed(name) for name in names}

    def _order(self, name: str, keys: Sequence[Key]) -> dict[str, Any]:
        cells = {key.cell for key in keys}
        timing = self.counted.get(name, self.counted[NEW])["timing"]
        jobs = [[cell, place] for cell, place, _ in timing if not cells or cell in cells]
        return {"task": "timing", "jobs": jobs, "window": self.window}

    def _timed(self, name: str) -> Timed:
        answer = self.members[name].answer()
        found = {Key(cell, m, tuple(sorted(conditions.items()))): times for cell, m, conditions, times in answer["times"]}
        if not found:
            why = "; ".join(f"{harness}: {reason}" for harness, reason in answer["failures"].items())
            where = self.members[name].side.name
            raise SideFailedError(f"{where}: no time could be measured: {why or 'its timing jobs record no times'}")
        return found


class Metrics(dict[str, Any]):
    """Declarations by name, looked up when they are asked for."""

    def __missing__(self, name: str) -> Any:
        try:
            return metric(name)
        except SpikebenchError:
            from spikebench.core.metrics import Metric

            return Metric(name, "s", "lower", "measured", name.replace("_", " "), portable=False)


def names_of(suite: Suite, frame: Frame) -> dict[int, str]:
    """What people call a cell: its row, and its seed where there are several."""
    found = {}
    for place, cell in enumerate(suite.cells):
        row = frame.name(cell.group_id) if cell.group_id in frame.groups else cell.group_id
        found[place] = " ".join(filter(None, [row, f"seed={cell.seed}" if len(suite.seeds) > 1 else ""]))
    return found


def _uncalibrated(times: Times, rule: PairedRule) -> list[str]:
    """What could be found is known once the noise is; until then, a line a cell for two noises that machines have."""
    allowed = math.log1p(DEFAULT)
    quiet, loud = (f"{math.expm1(rule.detectable(noise, allowed)):.1%}" for noise in NOISES)
    yet = "this machine is not calibrated (`spikebench check SUITE --calibrate`)"
    return [
        f"{name}: {rule.first} to {rule.most} rounds find slow-downs from {quiet} where the noise of a pair is {NOISES[0]:.0%}, "
        f"from {loud} where it is {NOISES[1]:.0%}; {yet}"
        for name in times.names.values()
    ]


def _power(times: Times) -> tuple[Block, ...]:
    return (times.power(),) if times.decisions else ()
