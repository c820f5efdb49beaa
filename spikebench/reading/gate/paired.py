"""Verdicts on times that were measured in pairs of one session: strong evidence, unlike stored times."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from statistics import median, stdev

from spikebench.core.metrics import Metric
from spikebench.derived.paired_rule import Decision, PairedRule, log_tolerance
from spikebench.derived.statistics import Interval, median_interval
from spikebench.reading.gate.moved import Work
from spikebench.reading.gate.timed import Key, Medians
from spikebench.reading.gate.tolerances import Tolerance, Tolerances
from spikebench.reading.gate.verdicts import Judgement
from spikebench.reading.model.display import Display, display_for
from spikebench.reading.reports.document import Absent, Cell, Column, Label, Number, Outcome, Row, Table

DEFAULT = 0.05
"""Relative tolerance of a time whose metric and suite name none."""


@dataclasses.dataclass(frozen=True)
class Times:
    """What came of the rounds. ``names``: place of a cell in the suite -> what people call it; ``groups``: -> its group.
    ``metrics``: declarations by name. ``ended``: why rounds stopped early, "" where they did not.
    """

    medians: Medians
    decisions: Mapping[Key, Decision]
    controls: Mapping[Key, Decision]
    rule: PairedRule
    tolerances: Tolerances
    metrics: Mapping[str, Metric]
    names: Mapping[int, str]
    groups: Mapping[int, str]
    work: Work = dataclasses.field(default_factory=Work)
    ended: str = ""

    def tolerance(self, key: Key) -> Tolerance:
        found = self.tolerances.of(self.metrics[key.metric], dict(key.conditions), True)
        return found if found.given or found.value else dataclasses.replace(found, value=DEFAULT)

    def allowed(self, key: Key, base: float) -> float:
        """The tolerance as the rule takes it."""
        tolerance = self.tolerance(key)
        return log_tolerance(tolerance.value, tolerance.floor, base)

    @property
    def broken_controls(self) -> list[Key]:
        """Quantities of which this side's two runs differed, so that nothing in this session can be believed."""
        return [key for key, control in self.controls.items() if control.outcome == "fail"]

    def judgements(self) -> list[Judgement]:
        """One for every quantity, also for those that were not decided."""
        return [self._judge(key) for key in self.medians.quantities()]

    def _judge(self, key: Key) -> Judgement:
        base, new = self.medians.values(0, key), self.medians.new(key)
        decision = self.decisions.get(key)
        if decision is None or not base:
            why = self.ended or "a side could not measure it every time"
            return self._of(key, "inconclusive", f"cannot tell: {why}", base, new)
        outcome: Outcome = decision.outcome
        slower = decision.interval.estimate > 0
        words = {"fail": "slower", "pass": "not slower", "inconclusive": "cannot tell"}[outcome]
        text = f"{self._medians(key, base, new)}, {_change(decision.interval)}; allowed: {self.tolerance(key)}"
        if outcome == "fail":
            text += f"; {self.work.behind(self.groups[key.cell], key, slower)}"
        if outcome == "inconclusive":
            text += f"; {decision.interval.n} rounds with this spread find slow-downs from {self._finds(key, decision):.1%} on"
            text += f"; {self.ended}" if self.ended else ""
        if self.broken_controls:
            outcome, words = "inconclusive", "cannot tell"
            worst = self.broken_controls[0]
            text += (
                f"; the control failed: this side against itself differs by {_change(self.controls[worst].interval)} in "
                f"{self.names[worst.cell]} {worst.address}, so the machine was not steady enough for any verdict on times"
            )
        return self._of(key, outcome, f"{words}: {text}", base, new, decision.interval)

    def _of(
        self, key: Key, outcome: Outcome, message: str, base: list[float], new: list[float], interval: Interval | None = None
    ) -> Judgement:
        name = self.names[key.cell]
        old_value, new_value = (median(side) if side else None for side in (base, new))
        return Judgement(
            name, key.address, outcome, f"{name}: {key.address}: {message}", old_value, new_value, interval, self.tolerance(key)
        )

    def _medians(self, key: Key, base: list[float], new: list[float]) -> str:
        """``10.2 ms (10.1 to 10.3) -> 11.0 ms (10.9 to 11.2)``: medians of the processes' medians with their 95 % intervals."""
        metric = self.metrics[key.metric]
        display = display_for(metric, [median(base), median(new)])
        return " -> ".join(_with_interval(side, display) for side in (base, new))

    def _finds(self, key: Key, decision: Decision) -> float:
        differences = self.medians.differences(key)[: decision.interval.n]
        tolerance = self.allowed(key, median(self.medians.values(0, key)))
        return math.expm1(self.rule.detectable(stdev(differences), tolerance, decision.interval.n))

    def power(self) -> Table:
        """What these rounds could find, quantity by quantity."""
        columns = (
            Column("variant", "variant", numeric=False),
            Column("metric", "metric", numeric=False),
            Column("noise", "noise of a pair", Display("%", 100.0, 2)),
            Column("pairs", "pairs", Display(decimals=0)),
            Column("finds", "finds slow-downs from", Display("%", 100.0, 1)),
            Column("control", "control", Display("%", 100.0, 2, signed=True)),
        )
        return Table("power", "What these pairs find in 95 % of runs", columns, tuple(map(self._power, self.decisions)), labels=2)

    def _power(self, key: Key) -> Row:
        decision = self.decisions[key]
        differences = self.medians.differences(key)[: decision.interval.n]
        control = self.controls.get(key)
        cells: list[Cell] = [
            Label(self.names[key.cell]),
            Label(key.address),
            Number(stdev(differences)),
            Number(decision.interval.n),
            Number(self._finds(key, decision)),
            Absent() if control is None else Number(math.expm1(control.interval.estimate)),
        ]
        return Row(tuple(cells))


def _with_interval(values: list[float], display: Display) -> str:
    low, high = median_interval(values)
    within = f" ({display.number(low)} to {display.number(high)})" if math.isfinite(low) else ""
    return f"{display.number(median(values))} {display.unit}{within}"


def _change(interval: Interval) -> str:
    """``+6.4 % (99.5 % interval +4.1 to +8.7 %, 10 rounds)``."""
    estimate, low, high = (
        f"{100 * math.expm1(x):+.1f}".replace("-", "\N{MINUS SIGN}")
        for x in (interval.estimate, interval.low or 0.0, interval.high or 0.0)
    )
    return f"{estimate} % ({100 * interval.confidence:.4g} % interval {low} to {high} %, {interval.n} rounds)"
