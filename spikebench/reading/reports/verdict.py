"""What can be said of a suite in a few sentences, and with what right. Words only where the numbers hold."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

from spikebench.derived.crossed import SETTLED
from spikebench.reading.model.display import display_for, is_fraction
from spikebench.reading.model.effects import Design, Effect
from spikebench.reading.model.factors import Factor, show
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.paired import MARGIN, Difference, Paired, Word, paired_of, verdicts
from spikebench.reading.reports.caution import Found, asked, caution, guessing, named
from spikebench.reading.reports.columns import heading, summaries
from spikebench.reading.reports.intervals import uneven

ONE_SEED = "There is one seed a variant: these are facts of these very networks, and nothing can be said of other seeds."


def sentences(frame: Frame, everything: Found, groups: Sequence[str]) -> list[str]:
    """Of variants on one data set: a paragraph on all of them, then one for each factor that others repeat."""
    idle, dead = guessing(frame, everything, groups), caution(frame, everything, groups)
    sides = []
    for quantity in asked(frame, everything):
        metric, ranked = frame.metric(quantity.metric), list(groups)
        if metric.direction == "lower" and 0 < len(idle) < len(groups):
            ranked = [name for name in groups if name not in idle]
        paired = paired_of(frame, metric, summaries(frame, ranked, everything[quantity]))
        if paired.rows:
            sides.append(_Side(frame, lower(heading(frame, quantity, everything)), paired, len(ranked) < len(groups)))
    if not sides:
        return []
    if len(groups) == 1:
        return [f"One variant, and nothing to compare it with: {', '.join(side.value(groups[0]) for side in sides)}.", *dead]
    if len(idle) == len(groups):
        return [" ".join(["No variant can be told from guessing, so that nothing is said of which is better or cheaper.", *dead])]
    if all(row.n == 1 for side in sides for row in side.paired.rows.values()):
        return [f"{' '.join(side.overall() for side in sides)} {ONE_SEED}", *dead]
    designs = {some: Design(frame, [g for g in groups if not some or g not in idle]) for some in {side.some for side in sides}}
    by_factor: dict[str, list[str]] = {}
    for side in sides:
        for factor, text in side.factors(designs[side.some]).items():
            by_factor.setdefault(factor, []).append(text)
    paragraphs = [f"{_title(factor)}: {' '.join(texts)}" for factor, texts in by_factor.items()]
    overall = [side.overall() for side in sides if len(side.paired.rows) > 1 or side.some]
    # Of two variants that differ in one factor there is no more to say than what the factor does.
    return [*([" ".join(overall)] if overall and (len(groups) > 2 or not paragraphs) else []), *paragraphs, *dead]


@dataclasses.dataclass(frozen=True)
class _Side:
    """One quantity in words. ``title``: ``accuracy``, ``SOPs``. ``some``: of costs, those alone that learned something: what a
    network takes little of that has not is no merit."""

    frame: Frame
    title: str
    paired: Paired
    some: bool = False

    @property
    def _among(self) -> str:
        return " among those that do better than guessing" if self.some else ""

    def value(self, group_id: str) -> str:
        """``accuracy 98.3 ± 1.2 %``; ``accuracy 94.57 % (95 % interval 47.37 to 100.00)`` where ± would tell another interval."""
        mean = self.paired.mean(group_id)
        if mean is None:
            return f"{self.title} unknown"
        display = display_for(self.paired.metric, [mean.estimate])
        if mean.ends is not None and uneven(mean.estimate, mean.ends):
            said, (low, high) = f"{display.number(mean.estimate)} {display.unit}".rstrip(), map(display.number, mean.ends)
            return f"{self.title} {said} (95 % interval {low} to {high})"
        within = f" ± {display.text(mean.estimate, mean.half_width).partition(' ± ')[2]}" if mean.half_width else ""
        return f"{self.title} {display.number(mean.estimate)}{within} {display.unit}".rstrip()

    def overall(self) -> str:
        """The best, and what cannot be told from it."""
        metric, rows = self.paired.metric, self.paired.rows
        means = {name: self._mean(name) for name in rows}
        top = (max if metric.direction == "higher" else min)(means, key=lambda name: means[name])
        words = verdicts(metric, {name: self.paired.difference(name, top) for name in rows if name != top}, margin=0.0)
        unclear = [name for name, word in words.items() if word != "worse"]
        extreme = "Highest" if metric.direction == "higher" else "Lowest"
        begin = f"{extreme} {self.value(top)}, of {self.frame.short_name(top)}{self._among}"
        if not words:
            return f"{begin}."
        if all(row.n == 1 for row in rows.values()):
            return f"{begin}."
        if not unclear:
            return f"{begin}; {'all others are' if len(words) > 1 else 'the other is'} worse."
        if len(unclear) == len(words):
            return (
                f"{begin}, but no other variant can be told from it."
                if len(words) > 1
                else f"{begin}, but the other cannot be told from it."
            )
        names = named(list(map(self.frame.short_name, unclear)))
        return f"{begin}; of {len(words)} others {len(unclear)} cannot be told from it: {names}."

    def factors(self, design: Design) -> dict[str, str]:
        """factor -> a sentence on what it does, averaged over the rest of the grid."""
        against: dict[tuple[str, Factor], Effect] = {}
        best: dict[str, Factor] = {}
        for factor, values in design.values.items():
            best[factor] = self._best(design, factor)
            effects = {value: design.main(factor, value, best[factor], self.paired) for value in values if value != best[factor]}
            against |= {(factor, value): effect for value, effect in effects.items() if effect is not None}
        # All that is said of one quantity is one family of claims.
        words = verdicts(self.paired.metric, {str(key): effect.difference for key, effect in against.items()})
        found = {}
        for factor, top in best.items():
            own = {value: effect.difference for (name, value), effect in against.items() if name == factor}
            told = {value: words[str((factor, value))] for value in own}
            if len(own) == 1:
                ((value, change),) = own.items()
                found[factor] = self._pair(design, factor, value, top, change, told[value], len(against))
            elif own:
                found[factor] = self._several(factor, top, own, told, len(against))
        if found and is_fraction(self.paired.metric):
            interactions = design.interactions(self.paired)
            found = {factor: text + self._dependence(interactions, factor) for factor, text in found.items()}
        return found

    def _mean(self, name: str) -> float:
        mean = self.paired.mean(name)
        return 0.0 if mean is None else mean.estimate

    def _best(self, design: Design, factor: str) -> Factor:
        """The value with the best mean over the rest; the reference where nothing can be compared with it."""
        reference = design.reference[factor]
        gains = {reference: 0.0}
        for value in design.values[factor]:
            effect = design.main(factor, value, reference, self.paired) if value != reference else None
            if effect is not None:
                gains[value] = effect.difference.change * (1 if self.paired.metric.direction == "higher" else -1)
        return max(gains, key=lambda value: gains[value])

    def _pair(self, design: Design, factor: str, value: Factor, top: Factor, change: Difference, word: Word, claims: int) -> str:
        """Two values, of which ``top`` seems the better; ``change``: from it to the other. Of ratios the reference is what is
        compared with, as in the tables: a tenth more is no tenth less.
        """
        worse, best = _spelled(factor, value), _spelled(factor, top)
        if self.paired.relative and value == design.reference[factor]:
            turned = design.main(factor, top, value, self.paired)
            change = change if turned is None else turned.difference
            new, old = best, worse
        else:
            new, old = worse, best
        if word in ("same", "cannot tell"):
            # Neither is ahead: what is compared with the reference is named after it, and its number has the table's sign.
            if not self.paired.relative and value == design.reference[factor]:
                turned = design.main(factor, top, value, self.paired)
                change, new, old = (change, new, old) if turned is None else (turned.difference, best, worse)
            if word == "same":
                return f"{old} and {new} have the same {self.title} to within {self._margin()} ({self._signs(new, change)})."
            return f"{old} and {new} cannot be told apart in {self.title} {self._why(new, change, claims)}"
        if is_fraction(self.paired.metric):
            return f"{best} is better than {worse} in {self.title}: {self._detail(best, change)}, {_p(change)}."
        more = f"{new} takes {self._more(change)} {'of' if self.paired.relative and change.change >= 1 else 'than'} {old}"
        return f"{more} ({self._within(change)}, {_p(change)})."

    def _several(
        self, factor: str, top: Factor, changes: Mapping[Factor, Difference], words: Mapping[Factor, Word], claims: int
    ) -> str:
        groups: dict[str, list[str]] = {}
        for value, change in changes.items():
            text = _spelled(factor, value) + (f" ({self._signed(change.change)})" if words[value] == "worse" else "")
            groups.setdefault(words[value], []).append(text)
        if set(groups) == {"same"}:
            return f"All have the same {self.title} to within {self._margin()}."
        extreme = "highest" if self.paired.metric.direction == "higher" else "lowest"
        furthest = max(changes, key=lambda value: abs(changes[value].change))
        if "worse" not in groups:
            detail = f"the furthest from it is {_spelled(factor, furthest)}, {self._detail('', changes[furthest])}"
            detail += _corrected(changes[furthest], claims)
            return f"{_spelled(factor, top)} has the {extreme} {self.title}{self._among}, but none can be told from it; {detail}."
        begins = {"worse": "worse", "same": f"the same to within {self._margin()}", "cannot tell": "not told apart from it"}
        said = [f"{begin}: {named(groups[word])}" for word, begin in begins.items() if word in groups]
        return f"{_spelled(factor, top)} has the {extreme} {self.title}{self._among}; {'; '.join(said)}."

    def _dependence(self, found: Sequence[Effect], factor: str) -> str:
        """Where an interaction is clear, the average over the rest is not the whole story."""
        words = verdicts(self.paired.metric, {str(i): effect.difference for i, effect in enumerate(found)})
        others = dict.fromkeys(
            effect.given[0] if effect.factor == factor else effect.factor
            for i, effect in enumerate(found)
            if effect.given and factor in (effect.factor, effect.given[0]) and words[str(i)] not in ("same", "cannot tell")
        )
        return f" How much depends on {' and '.join(map(_plain, others))}." if others else ""

    def _why(self, new: str, change: Difference, claims: int) -> str:
        """Why nothing can be told, and what would help."""
        if change.contrast.own or change.low is None:
            return f"with one seed (these very networks differ by {self._size(change)})."
        text = f"with {change.n} seeds ({self._signs(new, change)}{_corrected(change, claims)})"
        contrast, margin = change.contrast, MARGIN if is_fraction(self.paired.metric) else math.log1p(MARGIN)
        seeds = contrast.seeds_for(margin)
        if seeds is not None:
            return f"{text}; about {_rounded(seeds)} seeds would give ± {self._margin()}."
        if 1.96 * math.sqrt(contrast.images) > margin:
            return f"{text}; it takes more test images, and not seeds alone, to know it to ± {self._margin()}."
        return f"{text}; more than {SETTLED} seeds would be needed for ± {self._margin()}."

    def _margin(self) -> str:
        return f"{100 * MARGIN:g} {'pp' if is_fraction(self.paired.metric) else '%'}"

    def _detail(self, new: str, change: Difference) -> str:
        """``difference 0.4 pp, 95 % interval −1.8 to 2.6`` from the better one's side; of ratios ``scs −10 %, ...``."""
        if not self.paired.relative or not new:
            return f"difference {self._size(change)}, 95 % interval {self._ends(change)}"
        return self._signs(new, change)

    def _signs(self, new: str, change: Difference) -> str:
        """``scs −0.84 pp, 95 % interval −2.3 to 0.7``: as the table has it, of which ``new`` is the row."""
        low, high = change.low or 0.0, change.high or 0.0
        ends = f"{self._number(low, high)} to {self._number(high, low)}"
        return f"{new} {self._signed(change.change)}, 95 % interval {ends}"

    def _size(self, change: Difference) -> str:
        return f"{self._number(abs(change.change))} {self._unit()}".rstrip()

    def _ends(self, change: Difference) -> str:
        sign = -1 if change.change < 0 else 1
        low, high = sorted(sign * end for end in (change.low or 0.0, change.high or 0.0))
        return f"{self._number(low, high)} to {self._number(high, low)}"

    def _within(self, change: Difference) -> str:
        return f"95 % interval {self._ends(change)} {self._unit()}".rstrip() if change.half_width else "in every seed"

    def _more(self, change: Difference) -> str:
        """``10 % more SOPs``, ``2.8 times the SOPs``."""
        if self.paired.relative and change.change >= 1:
            return f"{1 + change.change:.3g} times the {self.title}"
        few = "fewer" if self.paired.metric.unit == "1" else "less"
        return f"{self._size(change)} {'more' if change.change > 0 else few} {self.title}"

    def _signed(self, change: float) -> str:
        return f"{'+' if change > 0 else ''}{self._number(change)} {self._unit()}".rstrip()

    def _unit(self) -> str:
        if self.paired.relative:
            return "%"
        return "pp" if is_fraction(self.paired.metric) else self.paired.metric.unit.replace("1", "")

    def _number(self, value: float, beside: float = 0.0) -> str:
        """``beside``: the other end of an interval, which has as many decimals."""
        factor = 100.0 if self.paired.relative or is_fraction(self.paired.metric) else 1.0
        largest = factor * max(abs(value), abs(beside))
        text = f"{factor * value:.{0 if largest >= 100 else 1 if largest >= 1 else 2}f}"
        return text.replace("-", "\N{MINUS SIGN}")


def _rounded(seeds: int) -> int:
    """Two digits: more are not known."""
    return round(seeds, 2 - len(str(seeds))) if seeds > 99 else seeds


def _corrected(change: Difference, claims: int) -> str:
    """Why an interval that leaves out 0 tells nothing all the same. ``claims``: of one quantity, which are corrected together."""
    clear = change.low is not None and change.high is not None and not change.low <= 0 <= change.high
    return f", which does not survive Holm's correction for {claims} comparisons" if clear else ""


def _p(change: Difference) -> str:
    p = change.p or 0.0
    return "p < 0.001" if p < 0.001 else f"p = {p:.2g}"


def _spelled(factor: str, value: Factor) -> str:
    """Words stand alone, numbers keep their factor."""
    return show(value) if isinstance(value, str) else f"{_plain(factor)} = {show(value)}"


def _plain(factor: str) -> str:
    return factor.removeprefix("train.")


def _title(factor: str) -> str:
    plain = _plain(factor)
    return plain if len(plain) == 1 else plain[0].upper() + plain[1:].replace("_", " ")


def lower(title: str) -> str:
    """``accuracy``, but ``SOPs``."""
    return title if title[:2].isupper() else title[0].lower() + title[1:]
