"""The gate: every quantity of two results judged, one exit code."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from spikebench.core.errors import InputError, NotComparableError
from spikebench.core.metrics import headline
from spikebench.core.records import Selector
from spikebench.core.text import printable
from spikebench.reading.gate.compare import matching_groups, pairs
from spikebench.reading.gate.tolerances import Tolerances
from spikebench.reading.gate.verdicts import UPDATE, Judgement, judge
from spikebench.reading.model.display import Display, display_for
from spikebench.reading.model.frame import Frame
from spikebench.reading.reports.document import (
    Absent,
    Block,
    Cell,
    Column,
    Document,
    Label,
    Number,
    Row,
    Table,
    Text,
    Verdict,
)
from spikebench.reading.reports.formats import junit, markdown
from spikebench.reading.reports.formats._files import write

MESSAGES = 8
WEAK = {"fail": "worse", "inconclusive": "cannot tell", "pass": "not worse"}
"""Outcomes in the words that weak evidence deserves."""
PASS, REGRESSION, INCONCLUSIVE, FAILED_CELLS, NOT_COMPARABLE = 0, 1, 3, 4, 5
VERDICTS = {
    PASS: "pass",
    REGRESSION: "regression",
    INCONCLUSIVE: "cannot tell",
    FAILED_CELLS: "some cells failed",
    NOT_COMPARABLE: "not comparable",
}


@dataclasses.dataclass(frozen=True)
class Gate:
    """All judgements, worst first."""

    suite: str
    judgements: tuple[Judgement, ...]
    notices: tuple[str, ...] = ()
    frames: tuple[Frame, Frame] | None = dataclasses.field(default=None, repr=False, compare=False)
    blocks: tuple[Block, ...] = ()
    """What a document has beside the verdicts."""

    def with_times(self, judgements: Sequence[Judgement], blocks: tuple[Block, ...]) -> Gate:
        """With verdicts on times that were measured in pairs, which decide like any other."""
        return dataclasses.replace(self, judgements=_sorted((*self.judgements, *judgements)), blocks=(*self.blocks, *blocks))

    @cached_property
    def exit_code(self) -> int:
        """0 pass, 1 something got worse or changed, 3 cannot tell, 4 a cell failed that had a value, 5 nothing is comparable.
        Weak evidence that the suite does not ask for never decides.
        """
        gating = [judgement for judgement in self.judgements if judgement.gating]
        if any(judgement.outcome == "fail" and not judgement.broken for judgement in gating):
            return REGRESSION
        if any(judgement.outcome == "fail" for judgement in gating):
            return FAILED_CELLS
        if any(judgement.outcome == "inconclusive" for judgement in gating):
            return INCONCLUSIVE
        compared = any(judgement.outcome == "pass" for judgement in gating)
        return NOT_COMPARABLE if any(judgement.apart for judgement in gating) and not compared else PASS

    @property
    def summary(self) -> str:
        counts = {
            o: sum(j.gating and j.outcome == o for j in self.judgements) for o in ("pass", "fail", "inconclusive", "skipped")
        }
        said = f"{VERDICTS[self.exit_code]}: " + ", ".join(f"{count} {outcome}" for outcome, count in counts.items() if count)
        weak = {o: sum(not j.gating and j.outcome == o for j in self.judgements) for o in WEAK}
        words = ", ".join(f"{count} {WEAK[outcome]}" for outcome, count in weak.items() if count)
        return said + (f"; times, which do not decide: {words}" if words else "")

    def document(self, everything: bool = False) -> Document:
        """What to look at; ``everything`` lists what passed too."""
        shown = [j for j in self.judgements if everything or j.outcome in ("fail", "inconclusive")]
        blocks: list[Block] = [Text(self.summary)]
        blocks += [Text(notice, "warning") for notice in self.notices]
        if shown:
            blocks.append(_table(shown, self))
        messages = [f"{j.outcome}: {j.message}" for j in shown if j.gating and j.outcome in ("fail", "inconclusive")]
        blocks += [Text(message) for message in messages[:MESSAGES]]
        if len(messages) > MESSAGES:
            blocks.append(Text(f"and {len(messages) - MESSAGES} more, which --json lists: one change moves many counts"))
        skipped = [judgement.message for judgement in self.judgements if judgement.outcome == "skipped"]
        if skipped:
            more = f" and {len(skipped) - 5} more" if len(skipped) > 5 else ""
            blocks.append(Text("not judged: " + "; ".join(skipped[:5]) + more))
        blocks += self.blocks
        return Document(f"check {self.suite}", tuple(blocks))

    # -- outputs ---------------------------------------------------------------------------------------------------------

    def markdown(self, path: str | Path) -> Path:
        return write(Path(path), markdown.text(self.document()))

    def junit(self, path: str | Path) -> Path:
        """One test case per judgement, those that passed too."""
        return write(Path(path), junit.text(self.document(everything=True)))

    def json(self, path: str | Path) -> Path:
        return write(Path(path), json.dumps(self.to_plain(), indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    def to_plain(self) -> dict[str, object]:
        """``schema``, ``exit_code`` and every judgement with its interval."""
        return {
            "schema": 1,
            "suite": self.suite,
            "exit_code": self.exit_code,
            "summary": self.summary,
            "judgements": [dataclasses.asdict(judgement) for judgement in self.judgements],
            "notices": list(self.notices),
        }

    def github(self) -> list[str]:
        """Workflow commands: print them and GitHub Actions shows annotations."""
        levels = {"fail": "error", "inconclusive": "warning"}
        return [
            f"::{levels[j.outcome] if j.gating else 'notice'} title={_property(f'spikebench: {j.address}')}::{_data(j.message)}"
            for j in self.judgements
            if j.outcome in levels
        ]


def check(old: Frame, new: Frame) -> Gate:
    """Judge ``new`` against the baseline ``old``, with the tolerances of the new results' suite.

    Raises as ``shared_groups`` and ``require_whole``, and InputError for tolerances that make no sense.
    """
    tolerances = Tolerances.parse(new.suite.check)
    shared = shared_groups(old, new)
    require_whole(old, shared)
    added = [new.name(group_id) for group_id in new.groups if group_id not in shared]
    said = (*old.notices, *old.remarks, *new.notices, *new.remarks)
    notices = [*said, *(f"{name} is not in the baseline and was not judged; {UPDATE}" for name in added)]
    found = [judgement for pair in pairs(old, new) if (judgement := judge(pair, tolerances)) is not None]
    return Gate(new.suite.name, _sorted(found), tuple(notices), (old, new))


def shared_groups(old: Frame, new: Frame) -> dict[str, str]:
    """group_id of ``new`` -> group_id of ``old``, from the cells alone: what can be known before anything is measured.

    Raises NotComparableError for results of two suites, and if not one cell is shared.
    """
    if old.suite.name and new.suite.name and old.suite.name != new.suite.name:
        raise NotComparableError(f"the baseline is of the suite {old.suite.name!r}, not of {new.suite.name!r}")
    return matching_groups(old, new)


def require_whole(old: Frame, shared: Mapping[str, str]) -> None:
    """Raises InputError if the baseline has cells that the new results have not."""
    gone = [old.name(group_id) for group_id in old.groups if group_id not in shared.values()]
    if gone:
        raise InputError(f"the baseline has cells that the suite no longer has: {'; '.join(gone[:6])}; {UPDATE}")


HEADS = (("variant", "variant", False), ("metric", "metric", False), ("old", "old", True), ("new", "new", True))


def _sorted(judgements: Sequence[Judgement]) -> tuple[Judgement, ...]:
    """Those that decide first, the worst of them first."""
    order = {"fail": 0, "inconclusive": 1, "pass": 2, "skipped": 3}
    return tuple(sorted(judgements, key=lambda judgement: (not judgement.gating, order[judgement.outcome], _rank(judgement))))


def _rank(judgement: Judgement) -> int:
    """What people know by heart first: of twenty counts that one change moves, accuracy and SOPs."""
    metric = judgement.address.partition("{")[0]
    first = headline()
    return first.index(metric) if metric in first else len(first)


def _layers(judgement: Judgement) -> str:
    if judgement.first_layer in ("", judgement.layer):
        return judgement.layer
    return f"{judgement.layer}; first {judgement.first_layer}"


def _table(judgements: Sequence[Judgement], gate: Gate) -> Table:
    heads = [Column(key, heading, numeric=numeric) for key, heading, numeric in HEADS]
    heads += [Column("change", "change", Display("%", 100.0, 2, signed=True)), Column("layer", "layer", numeric=False)]
    heads.append(Column("verdict", "verdict", numeric=False))
    addresses = _short(judgements)
    rows = []
    for judgement in judgements:
        old, new = judgement.old, judgement.new
        cells: list[Cell] = [
            Label(judgement.name),
            Label(addresses[judgement.address]),
            _value(judgement, gate, old),
            _value(judgement, gate, new),
        ]
        cells.append(Number((new - old) / abs(old)) if old and new is not None else Absent())
        rows.append(Row((*cells, Label(_layers(judgement)), _verdict(judgement))))
    return Table("verdicts", "", tuple(heads), tuple(rows), labels=2)


def _verdict(judgement: Judgement) -> Verdict:
    """Weak evidence is no failed test case: CI would be red although the gate passed."""
    if judgement.gating or judgement.outcome == "skipped":
        return Verdict(judgement.outcome, judgement.message)
    return Verdict("skipped", judgement.message, f"{WEAK[judgement.outcome]} (weak)")


def _short(judgements: Sequence[Judgement]) -> dict[str, str]:
    """address -> the metric with those conditions that tell it from the metric's other addresses."""
    selectors = {judgement.address: Selector.parse(judgement.address) for judgement in judgements}
    found = {}
    for address, selector in selectors.items():
        same = [other.conditions for other in selectors.values() if other.metric == selector.metric]
        telling = {n: v for n, v in selector.conditions.items() if any(other.get(n) != v for other in same)}
        found[address] = str(Selector(selector.metric, telling))
    return found


def _value(judgement: Judgement, gate: Gate, value: float | None) -> Cell:
    """In its metric's own unit: one column holds many metrics."""
    if value is None or gate.frames is None:
        return Absent()
    name = judgement.address.partition("{")[0]
    known = (frame for frame in reversed(gate.frames) if any(record.metric == name for record in frame.records))
    frame = next(known, gate.frames[-1])
    display = display_for(frame.metric(name), [v for v in (judgement.old, judgement.new) if v is not None])
    return Label(f"{display.number(value)} {display.unit}".rstrip())


def _data(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
