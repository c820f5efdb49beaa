"""Which variant is cheapest, by which model, and do the models agree: energy measured beside every estimate, and rankings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from spikebench.derived.statistics import kendall_tau
from spikebench.reading.model.display import Display, display_for
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.questions import of_one_question
from spikebench.reading.model.summary import Quantity, Summary, quantities
from spikebench.reading.reports import columns
from spikebench.reading.reports.columns import Summaries
from spikebench.reading.reports.document import Absent, Block, Cell, Column, Footnotes, Label, Number, Row, Table

MEASURED = "energy_per_image"
ESTIMATES = ("energy", "chip_energy")
NAMED = 3
"""Swapped pairs that are named of each two models."""
TIMES = Display("×", 1.0, 2)
TAU = Display("", 1.0, 2)


class Section:
    """Energy of every variant by every model, with its ratio to the measurement; Kendall's tau of every two of them."""

    order = 83
    title = "Do the energy models agree?"

    def __call__(self, frame: Frame) -> Sequence[Block]:
        models = models_of(frame)
        estimates = [q for q in models if q.metric in ESTIMATES and _means(models[q])]
        if len(estimates) < 2:
            return []
        measured = [q for q in models if q.metric == MEASURED]
        order = [*measured, *estimates]
        blocks: list[Block] = [_table(frame, order, models)]
        rankings = [q for q in order if len(_means(models[q])) > 2]
        if len(rankings) > 1:
            blocks.append(_agreement(frame, rankings, models))
        return blocks


def models_of(frame: Frame) -> dict[Quantity, dict[str, Summary]]:
    """What says how much energy an image takes, measured or estimated, of every variant; on the test split."""
    everything = {q: records for q, records in quantities(frame).items() if q.metric in (MEASURED, *ESTIMATES)}
    return {
        q: columns.summaries(frame, frame.groups, {g: of_one_question(r, apart=("complete",)) for g, r in records.items()})
        for q, records in everything.items()
        if q.condition("split") in ("", "test")
    }


BELOW = "what each can tell apart is below"


def cheapest(frame: Frame) -> str:
    """``The models do not agree on the cheapest: in the mean it is scs ssa by 5 of 7 models; sps ssa by 2 (lemaire-memory,
    quantised-twin) ...``; "" where fewer than two models know two variants.
    """
    means = {name_of(q): found for q, rows in models_of(frame).items() if len(found := _means(rows)) > 1}
    if len(means) < 2:
        return ""
    by: dict[str, list[str]] = {}
    for model, found in means.items():
        by.setdefault(min(found, key=lambda group_id: found[group_id]), []).append(model)
    ranked = sorted(by.items(), key=lambda item: -len(item[1]))
    said = [
        f"{frame.short_name(group_id)} by {len(models)}{'' if place else f' of {len(means)} models'}"
        + (f" ({', '.join(models)})" if len(models) <= NAMED else "")
        for place, (group_id, models) in enumerate(ranked)
    ]
    if len(by) == 1:
        return f"Lowest energy in the mean: {frame.short_name(ranked[0][0])}, by all {len(means)} models; {BELOW}."
    return f"The models do not agree on the cheapest: in the mean it is {'; '.join(said)}; {BELOW}."


def _means(rows: Summaries) -> dict[str, float]:
    """group_id -> mean over seeds, of the groups that have one."""
    found = {group_id: summary.interval() for group_id, summary in rows.items()}
    return {group_id: interval.estimate for group_id, interval in found.items() if interval is not None}


def name_of(quantity: Quantity) -> str:
    """A model by its profile or chip; ``measured`` with what tells measurements apart."""
    known = quantity.condition("profile") or quantity.condition("chip")
    if known:
        return known
    told = [value for name, value in quantity.conditions if name in ("batch_size", "dtype", "backend", "mode")]
    return " ".join(["measured", *told])


def _table(frame: Frame, order: Sequence[Quantity], models: Mapping[Quantity, Summaries]) -> Table:
    """Rows are models and columns variants: a suite has more of the former."""
    notes = Footnotes()
    groups = list(frame.groups)
    values = [mean for quantity in order for mean in _means(models[quantity]).values()]
    display = display_for(frame.metric("energy"), values)
    truth = next((q for q in order if q.metric == MEASURED and _means(models[q])), None)
    heads = [Column("model", "model", numeric=False)]
    heads += [Column(group_id, frame.short_name(group_id), display) for group_id in groups]
    heads += [Column("ratio", "of the measured", TIMES)] if truth is not None else []
    rows = []
    for quantity in order:
        metric = frame.metric(quantity.metric)
        cells = columns.cells(frame, metric, models[quantity], [groups], notes)
        row: list[Cell] = [Label(name_of(quantity), notes.mark(*columns.explanations(frame, quantity)))]
        row += [cells[group_id] for group_id in groups]
        if truth is not None:
            row.append(_ratio(_means(models[quantity]), _means(models[truth])))
        rows.append(Row(tuple(row), marked=quantity.metric == MEASURED))
    caption = "Energy of an image by every model, means over seeds. The best of a row is marked: the cheapest by that model."
    return Table("energy-models", caption, tuple(heads), tuple(rows), tuple(notes.texts))


def _ratio(model: Mapping[str, float], truth: Mapping[str, float]) -> Cell:
    """Geometric mean over the variants that both know."""
    both = [model[group_id] / truth[group_id] for group_id in model if truth.get(group_id, 0.0) > 0]
    if not both:
        return Absent()
    product = 1.0
    for ratio in both:
        product *= ratio ** (1 / len(both))
    return Number(product)


def _agreement(frame: Frame, models: Sequence[Quantity], found: Mapping[Quantity, Summaries]) -> Table:
    """Every two models, those that agree least first."""
    rows = []
    for a, b in combinations(models, 2):
        left, right = _means(found[a]), _means(found[b])
        both = [group_id for group_id in left if group_id in right]
        tau = kendall_tau([left[g] for g in both], [right[g] for g in both])
        rows.append((2.0 if tau is None else tau, name_of(a), name_of(b), tau, _swapped(frame, both, left, right)))
    notes = Footnotes()
    none = "One of the two orders no pair of variants."
    heads = (
        Column("a", "model", numeric=False),
        Column("b", "and", numeric=False),
        Column("tau", "Kendall's tau", TAU),
        Column("swapped", "cheaper by the first, dearer by the second", numeric=False),
    )
    body = tuple(
        Row((Label(a), Label(b), Absent(notes.mark(none)) if tau is None else Number(tau), Label(swapped)))
        for _, a, b, tau, swapped in sorted(rows, key=lambda row: row[0])
    )
    caption = "Do two models order the variants alike? 1: every pair of variants; -1: none."
    return Table("energy-agreement", caption, heads, body, tuple(notes.texts), labels=2)


def _swapped(frame: Frame, groups: Sequence[str], a: Mapping[str, float], b: Mapping[str, float]) -> str:
    """``sps ssa than scs ssa``: pairs that the two models order differently."""
    pairs = [(x, y) if a[x] < a[y] else (y, x) for x, y in combinations(groups, 2) if (a[x] - a[y]) * (b[x] - b[y]) < 0]
    named = [f"{frame.short_name(x)} than {frame.short_name(y)}" for x, y in pairs[:NAMED]]
    more = [f"and {len(pairs) - NAMED} more"] if len(pairs) > NAMED else []
    return "; ".join([*named, *more])
