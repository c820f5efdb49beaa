"""What ``check SUITE --calibrate`` does: record pairs of processes here, and say what the gate on times can hold."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from spikebench.core.console import standard_error
from spikebench.core.errors import InputError
from spikebench.core.suite import Suite
from spikebench.core.suite_reader import load
from spikebench.derived import resampled
from spikebench.derived.paired_rule import PairedRule
from spikebench.reading.gate.calibration import FEWEST, Allowed, Calibration
from spikebench.reading.gate.paired import Times
from spikebench.reading.gate.timed import Key, Medians
from spikebench.reading.gate.tolerances import Tolerances
from spikebench.reading.model.display import Display
from spikebench.reading.model.frame import load_results
from spikebench.reading.reports.document import Absent, Block, Cell, Column, Document, Label, Number, Row, Table, Text
from spikebench.running.jobs import rules
from spikebench.running.pairs.against import project_root
from spikebench.running.pairs.processes import ask, crew, scratch_folder
from spikebench.running.pairs.rounds import Measure
from spikebench.running.pairs.sides import suite_text, this_side
from spikebench.running.verbs.check_pairs import AGAIN, NEW, NOTHING_TIMED, Effort, Measuring, Metrics, names_of

SECONDS = 20 * 60.0
"""How long a calibration takes where nothing is said."""
ENOUGH = 300
"""Pairs after which it ends by itself."""
DECISIONS = 400
PAIR = (NEW, AGAIN)


def calibrate(path: Path, effort: Effort) -> Document:
    """Add to this machine's trace of the suite for as long as it is given, and evaluate all of it. An interrupted calibration has
    kept every pair; the same command goes on.

    Raises InputError for a suite that times nothing, and for a trace of other code or another protocol.
    """
    suite = load(path, rules)
    console = standard_error()
    with scratch_folder() as scratch:
        side = this_side(path, suite_text(suite, path), project_root(path), scratch / NEW)
        with crew(dict.fromkeys(PAIR, side), scratch) as members:
            counted = ask(members[NEW], {"task": "counting"}, [])
            if not counted["timing"]:
                raise InputError(f"{path}: {NOTHING_TIMED}")
            trace = _trace(suite, counted, effort)
            names = names_of(suite, load_results(side.folder / "results"))
            record(trace, Measuring(members, {NEW: counted}, [], effort.window, effort.alone), effort.seconds or SECONDS, console)
    times = Times(Medians(), {}, {}, PairedRule(), Tolerances.parse(suite.check), Metrics(), names, {})
    return evaluation(trace, times.allowed, names)


def _trace(suite: Suite, counted: Mapping[str, Any], effort: Effort) -> Calibration:
    machine, source = str(counted["machine_id"]), counted["source"]["source_id"]
    header = {"suite": suite.name, "machine_id": machine, "source_id": source, **effort.protocol}
    return Calibration.begin(Calibration.at(effort.calibrations, suite.name, machine), header)


def record(trace: Calibration, measure: Measure, seconds: float, console: Any) -> None:
    """One pair after another, each appended at once, until the time is up or there are enough."""
    end = time.monotonic() + seconds
    while len(trace.seconds) < ENOUGH and time.monotonic() < end:
        begun = time.monotonic()
        found = measure(PAIR if len(trace.seconds) % 2 else PAIR[::-1], ())
        trace.add(found[NEW], found[AGAIN], time.monotonic() - begun)
        if len(trace.seconds) % 10 == 0:
            left = max(0.0, end - time.monotonic())
            console.print(f"{len(trace.seconds)} of {ENOUGH} pairs, {left / 60:.0f} min left", soft_wrap=True)


def evaluation(trace: Calibration, allowed: Allowed, names: dict[int, str]) -> Document:
    """Noise, false alarms, the smallest slow-down found and the pairs that the tolerance needs, quantity by quantity."""
    columns = (
        Column("variant", "variant", numeric=False),
        Column("metric", "metric", numeric=False),
        Column("noise", "noise of a pair", Display("%", 100.0, 2)),
        Column("false_alarms", "false alarms", Display("%", 100.0, 1)),
        Column("cannot_tell", "cannot tell", Display("%", 100.0, 1)),
        Column("smallest", "smallest slow-down found in 95 %", Display("%", 100.0, 1)),
        Column("tolerance", "tolerance", Display("%", 100.0, 1)),
        Column("pairs", "pairs that it needs", Display(decimals=0)),
    )
    blocks: list[Block] = [
        Text(f"{len(trace.seconds)} pairs of {median(trace.seconds):.1f} s, kept in {trace.path}")
        if trace.seconds
        else Text("the time was up before one pair had been measured")
    ]
    if len(trace.seconds) < FEWEST:
        blocks.append(Text(f"the gate goes by a calibration of {FEWEST} pairs or more", "warning"))
    else:
        rows = [_row(trace, key, allowed, names) for key in trace.differences if len(trace.differences[key]) >= FEWEST]
        how = (
            f"{DECISIONS} decisions resampled from contiguous windows of the trace, which overlap: "
            "the rates describe this trace. A noisy hour is not in it unless it was there when it was recorded"
        )
        blocks.append(Table("calibration", "What the gate on times can promise here", columns, tuple(rows), (how,), 2))
    return Document(f"calibration of {trace.header['suite']}", tuple(blocks))


def _row(trace: Calibration, key: Key, allowed: Allowed, names: dict[int, str]) -> Row:
    tolerance = allowed(key, median(trace.medians[key]))
    spread = trace.spread(key)
    rule = PairedRule(cells=len(trace.medians))
    needed = rule.for_tolerance(spread, tolerance)
    cells: list[Cell] = [Label(str(names.get(key.cell, key.cell))), Label(key.address), Number(spread)]
    cells += _rates(trace.differences[key], needed or rule, tolerance)
    cells += [Number(math.expm1(tolerance)), Absent() if needed is None else Number(needed.most)]
    return Row(tuple(cells))


def _rates(differences: Sequence[float], rule: PairedRule, tolerance: float) -> list[Cell]:
    """False alarms, no verdict, and the smallest slow-down; absent where the trace is shorter than one decision."""
    if len(differences) < rule.most:
        return [Absent(), Absent(), Absent()]
    found = resampled.outcomes(differences, rule, tolerance, decisions=DECISIONS)
    smallest = resampled.smallest_found(differences, rule, tolerance, decisions=DECISIONS)
    rates: list[Cell] = [Number(found[outcome] / DECISIONS) for outcome in ("fail", "inconclusive")]
    return [*rates, Absent() if smallest is None else Number(smallest)]
