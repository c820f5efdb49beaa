"""What each factor does on average, and whether it depends on another: main effects and interactions with intervals."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.core.metrics import Metric
from spikebench.reading.model.effects import Design, Effect
from spikebench.reading.model.factors import show
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.paired import Paired, paired_of, verdicts
from spikebench.reading.model.summary import Quantity, quantities
from spikebench.reading.reports import columns, difference
from spikebench.reading.reports.caution import asked
from spikebench.reading.reports.document import Absent, Block, Cell, Column, Footnotes, Label, Number, Row, Table
from spikebench.reading.reports.intervals import alike, with_ends
from spikebench.reading.reports.sections.comparison import comparable
from spikebench.reading.reports.trial_table import searches

MOST = 60
"""Rows; of more interactions those with the smallest p are shown."""


class Section:
    """A table for each data set whose variants differ in at least one factor that others repeat."""

    order = 11
    title = "What each factor does"

    def __call__(self, frame: Frame) -> Sequence[Block]:
        if searches(frame):
            return []  # a sampler went where it liked: its trials are no grid
        everything = quantities(frame)
        chosen = asked(frame, everything)
        found: list[Block] = []
        for groups in comparable(frame, list(frame.groups)):
            design = Design(frame, groups)
            sides = []
            for quantity in chosen:
                rows = columns.summaries(frame, groups, everything[quantity])
                sides.append((quantity, paired_of(frame, frame.metric(quantity.metric), rows)))
            if table := _table(frame, design, groups, sides):
                found.append(table)
        return found


def _table(frame: Frame, design: Design, groups: Sequence[str], sides: Sequence[tuple[Quantity, Paired]]) -> Table | None:
    """``sides``: the quantities that are asked about, the first one first."""
    effects = {q: [*design.effects(paired), *design.interactions(paired)] for q, paired in sides}
    rows: dict[tuple[object, ...], dict[Quantity, Effect]] = {}
    for quantity, found in effects.items():
        for effect in found:
            rows.setdefault((effect.factor, effect.new, effect.old, effect.given), {})[quantity] = effect
    # A single pair of variants is what the comparison says already.
    if len(rows) < 2 and len(groups) < 3:
        return None
    kept, left = _kept(list(rows.values()))
    notes = Footnotes()
    heads = [Column(key, key, numeric=False) for key in ("factor", "from", "to")]
    heads.append(Column("where", "where", numeric=False, notes=notes.mark(WHERE)))
    heads.append(Column("over", "over", columns.WHOLE, notes.mark(OVER)))
    body: list[list[Cell]] = [_labels(row) for row in kept]
    for quantity, paired in sides:
        metric = frame.metric(quantity.metric)
        words = verdicts(metric, {str(i): row[quantity].difference for i, row in enumerate(kept) if quantity in row})
        shown = difference.display(metric, paired, [row[quantity].difference.change for row in kept if quantity in row])
        told = [i for i, row in enumerate(kept) if quantity in row]
        numbers = alike({i: difference.number(metric, kept[i][quantity].difference, notes) for i in told})
        note = UNEVEN if with_ends(numbers.values()) else NOTE
        heads.append(Column(f"{columns.key(quantity)}:effect", f"Δ {metric.title}", shown, notes.mark(note)))
        heads.append(Column(f"{columns.key(quantity)}:verdict", "verdict", numeric=False, notes=notes.mark(difference.VERDICT)))
        for index, row in enumerate(kept):
            if quantity not in row:
                body[index] += [Absent(notes.mark("No combination of the rest has a number for each of these.")), Label("")]
            else:
                body[index] += [numbers[index], Label(_word(metric, words[str(index)], row[quantity]))]
    where = f" on {frame.groups[groups[0]].factors.get('dataset')}" if len(comparable(frame, list(frame.groups))) > 1 else ""
    caption = f"Main effects and interactions{where}, averaged over the rest of the grid."
    caption += f" {left} interactions with larger p values are left out." if left else ""
    key = f"effects-{frame.groups[groups[0]].factors.get('dataset')}" if where else "effects"
    return Table(key, caption, tuple(heads), tuple(Row(tuple(cells)) for cells in body), tuple(notes.texts), 4) if body else None


def _kept(rows: list[dict[Quantity, Effect]]) -> tuple[list[dict[Quantity, Effect]], int]:
    """Main effects all, of interactions the clearest; in their order."""

    def clarity(place: int) -> tuple[bool, float]:
        effects = rows[place].values()
        p_values = [effect.difference.p for effect in effects if effect.difference.p is not None]
        return any(effect.given for effect in effects), min(p_values, default=1.0)

    kept = sorted(sorted(range(len(rows)), key=clarity)[:MOST])
    return [rows[place] for place in kept], len(rows) - len(kept)


def _labels(row: dict[Quantity, Effect]) -> list[Cell]:
    effect = next(iter(row.values()))
    where = "" if effect.given is None else "{}: {} instead of {}".format(effect.given[0], *map(show, effect.given[1:]))
    names = [effect.factor.removeprefix("train."), show(effect.old), show(effect.new), where]
    return [*map(Label, names), Number(effect.over)]


def _word(metric: Metric, word: str, effect: Effect) -> str:
    """An interaction is neither better nor worse."""
    if effect.given is None or word in ("same", "cannot tell"):
        return "none" if effect.given and word == "same" else word
    return "more" if (word in ("better", "higher")) == (metric.direction != "lower") else "less"


WHERE = "Where: empty for a main effect; else an interaction, by how much the effect is larger or smaller there."
OVER = "Over: combinations of the other factors that it is the mean of."
UNEVEN = (
    "With the 95 % interval, from seeds; of ratios, for which it is wider upwards, the geometric mean. An interaction of ratios "
    "is itself a ratio of two effects."
)
NOTE = (
    "± half width of the 95 % interval, from seeds and, of an accuracy, test images; of ratios the geometric mean. An "
    "interaction of ratios is itself a ratio of two effects."
)
