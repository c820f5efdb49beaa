"""Where a number comes from: by stage, by kind, by layer, the formula with the numbers put in, and what other conventions say."""

from __future__ import annotations

from collections.abc import Sequence

from spikebench.core.errors import InputError, Problem, nearest
from spikebench.core.metrics import Metric
from spikebench.core.records import Selector, spell
from spikebench.core.text import shorten
from spikebench.derived.profile import load_profile
from spikebench.reading.model import factors
from spikebench.reading.model.accounting import Operations, Part, by_convention, by_kind, by_stage, operations_of, profile_of
from spikebench.reading.model.display import Display, display_for
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.layers import Layer, layers_of
from spikebench.reading.model.on_chips import chip_formula
from spikebench.reading.model.questions import of_one_question
from spikebench.reading.model.summary import is_whole, summarise
from spikebench.reading.reports.document import (
    Absent,
    Block,
    Cell,
    Column,
    Document,
    Figure,
    Footnotes,
    Heading,
    Label,
    Number,
    Row,
    Series,
    Table,
    Text,
)

SHARE = Display("%", 100.0, 1)


def explain(frame: Frame, metric: str = "energy", group: str | None = None) -> Document:
    """The account of one metric of one variant.

    ``metric``: a selector (``energy{profile=horowitz-45nm-fp32}``, ``events``). ``group``: a group_id, or factors
    (``stem=sps attention=ssa``); without it the baseline, or the only variant. Raises InputError for what is not there or not
    unique.
    """
    group_id = find_group(frame, group)
    selector = _complete(frame, group_id, Selector.parse(metric))
    declared = frame.metric(selector.metric)
    layers = layers_of(frame, group_id, selector)
    if declared.combine != "sum" or not layers:
        summable = sorted({r.metric for r in frame.records if not is_whole(r) and frame.metric(r.metric).combine == "sum"})
        raise InputError(f"{metric} is no sum over layers that were recorded; these are: {', '.join(summable) or 'none'}")
    whole = sum(layer.value for layer in layers)
    display = display_for(declared, [whole])
    blocks: list[Block] = [Text(_opening(frame, group_id, selector, declared, display, whole))]
    formula = chip_formula(frame, group_id, selector) or _formula(frame, group_id, selector, whole, display)
    blocks += [Text(formula)] if formula else []
    blocks += [Text(sentence) for sentence in _not_counted(frame, group_id)]
    for heading, key, parts in (("By stage", "stages", by_stage(layers)), ("By kind of operation", "kinds", by_kind(layers))):
        blocks += [Heading(heading), parts_table(key, heading.removeprefix("By "), parts, declared)]
    blocks += [Heading("By layer"), layers_table(layers, declared)]
    asked = "chip" not in selector.conditions
    conventions = conventions_blocks(frame, group_id, selector.conditions.get("profile")) if asked else []
    blocks += [Heading("Under other conventions"), *conventions] if conventions else []
    return Document(f"{declared.title} of {frame.name(group_id)}", tuple(blocks))


def _not_counted(frame: Frame, group_id: str) -> list[str]:
    """What the counter says that the sums leave out, or hold too much of."""
    return list(
        dict.fromkeys(
            f"{record.conditions['operation']} in {record.scope or 'the network'}: {record.reason}."
            for record in frame.by_group.get(group_id, ())
            if record.metric == "events" and record.value is None and "operation" in record.conditions
        )
    )


def find_group(frame: Frame, group: str | None) -> str:
    """The group that a person means. Raises InputError listing the groups."""
    if group in frame.groups:
        return str(group)
    if group is None:
        if frame.baseline is not None or len(frame.groups) == 1:
            return frame.baseline or next(iter(frame.groups))
        listing = "; ".join(frame.name(group_id) for group_id in list(frame.groups)[:12])
        raise InputError(f"say which variant with --group FACTOR=VALUE ...: {listing or 'there are no results yet'}")
    pairs = [part.partition("=") for part in group.replace(",", " ").split()]
    if not pairs or not all(name and equals and value for name, equals, value in pairs):
        raise InputError(f"expected factors like stem=sps attention=ssa, or a group_id, got {shorten(group)}")
    wanted = {name: value for name, _, value in pairs}
    rows = {
        group_id: {name: factors.show(value) for name, value in known.factors.items()} for group_id, known in frame.groups.items()
    }
    found = factors.find(wanted, rows)
    assert found is not None, "there is at least one factor to find by"
    return found


def _complete(frame: Frame, group_id: str, selector: Selector) -> Selector:
    """Fill in the conditions of the one whole-network record that fits; where several do, the test split, the first profile."""
    found = of_one_question(
        record
        for record in frame.by_metric.get(selector.metric, ())
        if is_whole(record) and frame.group_of(record) == group_id and selector.matches_conditions(record.conditions)
    )
    if not found:
        known = {r.metric for r in frame.records if frame.group_of(r) == group_id}
        hint = nearest(selector.metric, known)
        raise InputError(Problem(f"{selector} was not recorded for {frame.name(group_id)}{hint}", key="--metric"))
    return Selector(selector.metric, {name: spell(value) for name, value in found[0].conditions.items()})


def _opening(frame: Frame, group_id: str, selector: Selector, metric: Metric, display: Display, whole: float) -> str:
    records = [r for r in frame.by_metric[metric.name] if is_whole(r) and frame.group_of(r) == group_id and selector.matches(r)]
    n = summarise(frame.groups[group_id], records).n
    conditions = ", ".join(f"{name} {value}" for name, value in selector.conditions.items())
    seeds = f"mean over {n} seeds" if n > 1 else "one seed"
    note = "" if metric.kind == "estimated" else metric.note
    what = "an estimate from counts, not a measurement" if metric.kind == "estimated" else metric.kind
    said = [f"{metric.title}: {display.number(whole)} {display.unit}".rstrip(), what, seeds, conditions, note]
    return "; ".join(filter(None, said)) + "."


def _formula(frame: Frame, group_id: str, selector: Selector, whole: float, display: Display) -> str:
    """``E = 4.6 pJ x 75,366 MACs + 0.9 pJ x 47,524 ACs``; what the profile charges beyond operations is named as the rest."""
    profile = profile_of(selector)
    operations = None if profile is None else operations_of(frame, group_id, profile.convention, profile)
    if profile is None or operations is None or operations.convention != selector.conditions.get("convention"):
        return ""
    explained = profile.mac * operations.macs + profile.ac * operations.acs
    terms = [
        f"{joules * 1e12:g} pJ × {count:,.0f} {what}"
        for joules, count, what in ((profile.mac, operations.macs, "MACs"), (profile.ac, operations.acs, "ACs"))
    ]
    rest = whole - explained
    if abs(rest) > 1e-9 * abs(whole):
        terms.append(f"{display.number(rest)} {display.unit} for what the profile charges beyond operations")
    return f"E = {' + '.join(terms)} = {display.number(whole)} {display.unit} (constants: {profile.source})."


def parts_table(key: str, what: str, parts: Sequence[Part], metric: Metric) -> Table:
    """Parts with their shares; the last row is their sum."""
    whole = sum(part.value for part in parts)
    display = display_for(metric, [whole])
    rows = [Row((Label(part.name), Number(part.value), _share(part.value, whole))) for part in parts]
    rows.append(Row((Label("sum"), Number(whole), _share(whole, whole)), marked=True))
    heads = (Column(key, what, numeric=False), Column(metric.name, metric.title, display), Column("share", "share", SHARE))
    return Table(key, "", heads, tuple(rows))


def layers_table(layers: Sequence[Layer], metric: Metric) -> Table:
    """In order of execution."""
    whole = sum(layer.value for layer in layers)
    display = display_for(metric, [layer.value for layer in layers])
    rows = [
        Row((Label(layer.name), Label(layer.operation), Label(layer.input), Number(layer.value), _share(layer.value, whole)))
        for layer in layers
    ]
    heads = (
        Column("layer", "layer", numeric=False),
        Column("operation", "operation", numeric=False),
        Column("input", "input", numeric=False),
        Column(metric.name, metric.title, display),
        Column("share", "share", SHARE),
    )
    return Table("layers", "", heads, tuple(rows))


def conventions_blocks(frame: Frame, group_id: str, profile: str | None) -> list[Block]:
    """How the total changes from convention to convention: one pass, other definitions. As a plot and as its table."""
    found = by_convention(frame, group_id, profile)
    if not found:
        return []
    found.sort(key=_size)
    notes = Footnotes()
    counts = frame.metric("events")
    energies = [entry.energy for entry in found if entry.energy is not None]
    heads = [Column("convention", "convention", numeric=False)]
    for name, title in (("macs", "MACs"), ("acs", "ACs")):
        heads.append(Column(name, title, display_for(counts, [getattr(entry, name) for entry in found])))
    if energies:
        mark = notes.mark(_same_constants(str(profile)))
        heads.append(Column("energy", "Energy", display_for(frame.metric("energy"), energies), mark))
    rows = []
    for entry in found:
        cells: list[Cell] = [Label(entry.convention), Number(entry.macs), Number(entry.acs)]
        if energies:
            none = "The profile cannot be applied under this convention."
            cells.append(Absent(notes.mark(none)) if entry.energy is None else Number(entry.energy))
        rows.append(Row(tuple(cells)))
    caption = f"{frame.name(group_id)} under every convention: the same passes, other definitions of an operation."
    data = Table("conventions-data", caption, tuple(heads), tuple(rows), tuple(notes.texts))
    display = heads[-1].display if energies else display_for(counts, [_size(entry) for entry in found])
    values = tuple(_size(entry) * display.factor for entry in found)
    text = tuple(display.number(_size(entry)) for entry in found)
    series = (Series("total", tuple(map(float, range(len(found)))), values, text=text),)
    label = f"{'Energy' if energies else 'MACs + ACs'}{f' [{display.unit}]' if display.unit else ''}"
    return [Figure("conventions", caption, "bars", label, "", data, series, ticks=tuple(entry.convention for entry in found))]


def _same_constants(name: str) -> str:
    profile = load_profile(name)
    rules = ", ".join(f"{rule}={value}" for rule, value in profile.rules.items())
    own = f" The row {profile.convention} also follows the profile's own rules: {rules}." if rules else ""
    return f"With the constants of the profile {name}; only the definition of an operation differs between rows.{own}"


def _size(entry: Operations) -> float:
    return entry.energy if entry.energy is not None else entry.macs + entry.acs


def _share(value: float, whole: float) -> Cell:
    return Number(value / whole) if whole else Absent()
