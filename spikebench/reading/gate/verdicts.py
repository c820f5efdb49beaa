"""One pair judged: exact numbers exactly, accuracies by seed, times with suspicion."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from statistics import fmean, median, stdev

from spikebench.core.records import Record
from spikebench.derived import statistics
from spikebench.derived.statistics import Interval
from spikebench.reading.gate.compare import Pair
from spikebench.reading.gate.tolerances import Tolerance, Tolerances
from spikebench.reading.model.display import Display, display_for, points
from spikebench.reading.model.rounding import significant
from spikebench.reading.reports.document import Outcome

UPDATE = "run `spikebench baseline update` if this is meant"


@dataclasses.dataclass(frozen=True, slots=True)
class Judgement:
    """What a gate thinks of one quantity of one variant.

    ``old``, ``new``: means over the shared seeds in stored units, None where a side has no value. ``interval``: of the worsening
    (positive is worse) in the unit of the tolerance. ``weak``: stored times of two separate runs, which a noisy machine alone can
    change. ``gating``: it counts for the exit code. ``broken``: the number could not be had, so the cell failed rather than got
    worse. ``apart``: the two machines decided something differently, so the numbers are not comparable. ``layer``: the one that
    changed most; ``first_layer``: the first that changed, where a cause is looked for first.
    """

    name: str
    address: str
    outcome: Outcome
    message: str
    old: float | None = None
    new: float | None = None
    interval: Interval | None = None
    tolerance: Tolerance | None = None
    weak: bool = False
    gating: bool = True
    broken: bool = False
    apart: bool = False
    layer: str = ""
    first_layer: str = ""


def judge(pair: Pair, tolerances: Tolerances) -> Judgement | None:
    """None for what a gate does not ask: estimates, which follow from the counts, and metrics that have neither direction nor
    tolerance nor claim to be exact.
    """
    tolerance = tolerances.of(pair.metric, dict(pair.conditions), pair.same_machine)
    asked = tolerance.given or (pair.metric.kind != "estimated" and (pair.metric.exact or tolerance.value > 0))
    if not asked:
        return None
    failed = any(record.status == "failed" for record in pair.new.values())
    if not pair.metric.portable and not pair.same_machine and not failed:
        return _of(
            pair, "skipped", f"{pair.address} was measured on another machine, and holds on one alone", weak=not pair.metric.exact
        )
    found = _absent(pair) or _judge(pair, tolerance, tolerances.confidence)
    if pair.excused and not failed and found.outcome in ("fail", "inconclusive"):
        return _of(pair, "skipped", f"{pair.address} is not comparable: {pair.apart}", apart=True)
    return found


def _judge(pair: Pair, tolerance: Tolerance, confidence: float) -> Judgement:
    if pair.metric.exact:
        return _exact(pair, tolerance)
    if not pair.metric.portable:
        return _time(pair, tolerance, confidence)
    return _statistical(pair, tolerance, confidence)


def _absent(pair: Pair) -> Judgement | None:
    """A judgement where there is nothing to compare."""
    if not pair.old:
        return _of(pair, "skipped", f"the baseline has no {pair.address}; {UPDATE}")
    if not pair.new:
        return _of(pair, "fail", f"the baseline has {pair.address}, this run does not; {UPDATE}", broken=True)
    lost = {
        seed: pair.new[seed].reason for seed, record in pair.old.items() if record.value is not None and _lacks(pair.new, seed)
    }
    if lost:
        seed, reason = next(iter(lost.items()))
        return _of(pair, "fail", f"{pair.address} could not be had (seed {seed}): {reason}", broken=True)
    if not pair.seeds:
        unshared = "no seed is in both" if not set(pair.old) & set(pair.new) else next(iter(pair.old.values())).reason
        return _of(pair, "skipped", f"nothing to compare {pair.address} with: {unshared}")
    return None


def _lacks(new: Mapping[int, Record], seed: int) -> bool:
    return seed in new and new[seed].value is None


def _exact(pair: Pair, tolerance: Tolerance) -> Judgement:
    """Every seed and every layer must repeat; the message names the seed and layers that changed most."""
    old, new = pair.values()
    changes = {seed: _relative(old[seed], new[seed]) for seed in old}
    worst = max(changes, key=lambda seed: abs(changes[seed]))
    layers = _layer_changes(pair, tolerance)
    same = "equal" if tolerance.value == 0 else f"within {tolerance}"
    where = "" if pair.same_machine else " (another machine)"
    if all(tolerance.lets(old[one], new[one], change) for one, change in changes.items()) and not layers:
        return _of(pair, "pass", f"{same}{where}", tolerance=tolerance)
    display = _exact_display(pair)
    seed = worst if changes[worst] else next(iter(layers.values()))[0]
    what = f"{display.number(old[seed])} -> {display.number(new[seed])} {display.unit}".rstrip()
    what += f" (seed {seed}, {_percent(changes[seed])})"
    message = f"{pair.address} changed{where}: {what}; allowed: {'no change' if tolerance.value == 0 else tolerance}"
    layer = first = ""
    if layers:
        layer = max(layers, key=lambda scope: abs(layers[scope][2] - layers[scope][1]))
        first = next(iter(layers))
        message += "; most in " + _layer(layer, layers[layer], display)
        message += f"; first in {_layer(first, layers[first], display)}" if first != layer else "; it is the first that changed"
    return _of(pair, "fail", message, tolerance=tolerance, layer=layer, first_layer=first)


LayerChange = tuple[int, float, float]
"""Seed, old value, new value."""


def _layer_changes(pair: Pair, tolerance: Tolerance) -> dict[str, LayerChange]:
    """Layers whose number changed, in order of execution; of several seeds the one that changed most. A layer that one side lacks
    counts as 0 there: it came or went.
    """
    found: dict[str, LayerChange] = {}
    for scope, (old, new) in pair.layers.items():
        changes = []
        for seed in pair.seeds:
            before, after = (side[seed].value if seed in side else 0 for side in (old, new))
            if before is not None and after is not None and not tolerance.lets(before, after, _relative(before, after)):
                changes.append((seed, float(before), float(after)))
        if changes:
            found[scope] = max(changes, key=lambda change: abs(change[2] - change[1]))
    return found


def _statistical(pair: Pair, tolerance: Tolerance, confidence: float) -> Judgement:
    """Accuracy and other numbers that training noise moves: paired by seed, with the t interval of the mean difference."""
    old, new = pair.values()
    if old == new:
        return _of(pair, "pass", "equal in every seed", tolerance=tolerance)
    if not tolerance.absolute and 0 in old.values():
        return _of(pair, "skipped", f"{pair.address} was 0: there is no relative change", tolerance=tolerance)
    sign = -1.0 if pair.metric.direction == "higher" else 1.0
    worse = {seed: sign * (new[seed] - old[seed] if tolerance.absolute else _relative(old[seed], new[seed])) for seed in old}
    interval = statistics.paired_interval(worse, dict.fromkeys(worse, 0.0), confidence)
    how = f"paired over {interval.n} seeds"
    if interval.n == 1:
        interval, how = _one_seed(pair, interval, sign, confidence)
    outcome = statistics.three_way(interval, tolerance.at(fmean(old.values())))
    display = (
        points(display_for(pair.metric, list(worse.values()))) if tolerance.absolute else Display("%", 100.0, 2, signed=True)
    )
    change = _change(interval, sign, display)
    message = f"{pair.address}: {_both(pair)}, {change} ({confidence:.0%} interval, {how}); allowed: {tolerance}"
    if outcome == "inconclusive":
        effect = statistics.minimum_detectable_effect(stdev(worse.values()), interval.n) if len(worse) > 1 else None
        if effect is not None:
            message += (
                f"; {interval.n} seeds with this spread find differences from {effect * display.factor:.2g} {display.unit} on"
            )
    return _of(pair, outcome, message, interval=interval, tolerance=tolerance)


def _one_seed(pair: Pair, interval: Interval, sign: float, confidence: float) -> tuple[Interval, str]:
    """One seed has no spread; where each test sample's correctness is kept, this one pair of networks can be judged."""
    seed = pair.seeds[0]
    old, new = pair.old[seed].samples, pair.new[seed].samples
    if not old or not new or len(old) != len(new) or not {*old, *new} <= {0, 1}:
        return interval, "one seed: no interval"
    counts = [sum(a > b for a, b in zip(x, y, strict=True)) for x, y in ((new, old), (old, new))]
    found = statistics.paired_fraction_interval(counts[0], counts[1], len(old), confidence)
    low, high = sorted(sign * bound for bound in (found.low, found.high) if bound is not None)
    return Interval(sign * found.estimate, low, high, 1, confidence), f"one seed, paired over {len(old)} test samples"


def _time(pair: Pair, tolerance: Tolerance, confidence: float) -> Judgement:
    """Worse, not worse, or cannot tell, from the logarithms of stored samples."""
    sign = -1.0 if pair.metric.direction == "higher" else 1.0
    samples = {seed: (_logs(pair.old[seed]), _logs(pair.new[seed])) for seed in pair.seeds}
    if any(not old or not new for old, new in samples.values()):
        return _of(pair, "skipped", f"{pair.address} is not above 0 everywhere: there is no ratio", weak=True)
    if len(samples) > 2:
        worse = [sign * (median(new) - median(old)) for old, new in samples.values()]
        interval, how = statistics.mean_interval(worse, confidence), f"over {len(samples)} seeds"
    else:
        old, new = ([sign * x for both in samples.values() for x in both[side]] for side in (0, 1))
        interval = statistics.welch_interval(new, old, confidence)
        how = f"over {interval.n} calls" if interval.n > 1 else "one call: no interval"
    base = fmean(pair.values()[0].values())
    outcome = statistics.three_way(interval, tolerance.at(base))
    words = {"fail": "worse", "pass": "not worse", "inconclusive": "cannot tell", "skipped": ""}[outcome]
    change = f"{_both(pair)}, {_ratio(interval, sign)} ({confidence:.0%} interval, {how})"
    message = (
        f"{pair.address}: {words}: {change}; allowed: {tolerance}; "
        "weak evidence: two separate runs, so the machine's mood is in it"
    )
    return _of(pair, outcome, message, interval=interval, tolerance=tolerance, weak=True, gating=tolerance.given)


def _ratio(interval: Interval, sign: float) -> str:
    """A logarithm's interval as relative changes: ``+151 %, +141 to +162 %``."""
    bounds = sorted(sign * bound for bound in (interval.low, interval.high) if bound is not None)
    estimate, *ends = (f"{100 * math.expm1(x):+.1f}".replace("-", "\N{MINUS SIGN}") for x in (sign * interval.estimate, *bounds))
    return f"{estimate} %" + (f", {' to '.join(ends)} %" if ends else "")


def _of(pair: Pair, outcome: Outcome, message: str, **more: object) -> Judgement:
    old, new = pair.values()
    means = (fmean(old.values()), fmean(new.values())) if old else (None, None)
    return Judgement(pair.name, pair.address, outcome, f"{pair.name}: {message}", *means, **more)  # type: ignore[arg-type]


def _logs(record: Record) -> list[float]:
    values = [record.value] if not record.samples else record.samples
    return [math.log(value) for value in values if value] if all(value is not None and value > 0 for value in values) else []


def _relative(old: float, new: float) -> float:
    """Equal to the digits that a baseline keeps is equal."""
    if significant(old) == significant(new):
        return 0.0
    return math.inf if old == 0 else (new - old) / abs(old)


def _percent(change: float) -> str:
    return "it was 0" if math.isinf(change) else f"{100 * change:+.3g} %"


def _layer(scope: str, change: LayerChange, display: Display) -> str:
    return f"{scope} ({display.number(change[1])} -> {display.number(change[2])})"


def _exact_display(pair: Pair) -> Display:
    """Whole counts in full: the change may be a single one."""
    values = [record.value for side in (pair.old, pair.new) for record in side.values() if record.value is not None]
    if pair.metric.unit in ("1", "B") and all(float(value).is_integer() for value in values):
        return Display(unit=pair.metric.unit.replace("1", ""), decimals=0)
    return dataclasses.replace(display_for(pair.metric, values), decimals=6)


def _both(pair: Pair) -> str:
    old, new = (fmean(side.values()) for side in pair.values())
    display = display_for(pair.metric, [old, new])
    return f"{display.number(old)} -> {display.number(new)} {display.unit}".rstrip()


def _change(interval: Interval, sign: float, display: Display) -> str:
    """The change in the metric's own direction: a lost accuracy is negative."""
    text = f"{display.number(sign * interval.estimate)}"
    half = interval.half_width
    return f"{text}{'' if half is None else f' ± {half * display.factor:.{display.decimals}f}'} {display.unit}"
