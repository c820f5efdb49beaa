"""How much a gate lets pass: the suite's ``check:`` mapping by selector, else what the metric declares."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

from spikebench.core.errors import InputError, Problem
from spikebench.core.metrics import VALUE_FREE, Metric, metric
from spikebench.core.quantity import parse_quantity
from spikebench.core.records import Selector
from spikebench.core.text import shorten
from spikebench.reading.model.display import is_fraction

CONFIDENCE = 0.95
ROUNDING = 0.001
"""On another machine sums round differently and a few spikes near the threshold flip."""
_NUMBER = re.compile(r"(?P<number>\d+(\.\d*)?([eE][+-]?\d+)?)\s*(?P<unit>%|pp)?")


@dataclasses.dataclass(frozen=True, slots=True)
class Tolerance:
    """A worsening up to ``value`` passes; ``absolute`` in the metric's stored unit, else relative to the old value. One up to
    ``floor``, in the stored unit, passes whatever its per cent: tiny jobs always move by one.
    """

    value: float
    absolute: bool
    given: bool = False
    """By the suite, not by default."""
    floor: float = 0.0
    floor_words: str = ""
    """As the suite writes it."""

    def __str__(self) -> str:
        words = f"{self.value * 100:g} {'pp' if self.absolute else '%'}"
        return f"{words} and {self.floor_words}" if self.floor else words

    def at(self, old: float) -> float:
        """The tolerance at an old value, the floor with it: relative, or ``value`` itself where it is absolute."""
        if self.absolute or not self.floor:
            return self.value
        return max(self.value, self.floor / abs(old)) if old else math.inf

    def lets(self, old: float, new: float, relative: float) -> bool:
        """Whether a change from ``old`` to ``new``, which is ``relative`` to the old value, passes."""
        return abs(relative) <= self.value or (self.floor > 0 and abs(new - old) <= self.floor)

    @classmethod
    def parse(cls, text: str | float, metric: Metric) -> Tolerance:
        """``5%`` is relative, ``1.0pp`` absolute for fractions; a bare number is relative, for fractions absolute. ``5% and
        50 us`` has a floor in the metric's unit.

        Raises InputError for anything else.
        """
        words, both, floor = str(text).strip().partition(" and ")
        match = None if isinstance(text, bool) else _NUMBER.fullmatch(words.strip())
        if match is None:
            raise InputError(f"expected a tolerance like 5%, 5% and 50 us, 1.0pp or 0, got {shorten(text)}")
        if both:
            return cls._with_floor(words.strip(), floor.strip(), metric)
        number = float(match["number"])
        if match["unit"] == "pp" and not is_fraction(metric):
            raise InputError(f"{metric.name} is no fraction, so pp has no meaning: write {number:g}%")
        if match["unit"] is None:
            return cls(number, is_fraction(metric), True)
        return cls(number / 100, match["unit"] == "pp", True)

    @classmethod
    def _with_floor(cls, words: str, floor: str, metric: Metric) -> Tolerance:
        relative = cls.parse(words, metric)
        if relative.absolute:
            raise InputError(f"the tolerance of {metric.name} is absolute, so there is no floor beside it: write {words}")
        return dataclasses.replace(relative, floor=parse_quantity(floor, metric.unit), floor_words=floor)


@dataclasses.dataclass(frozen=True)
class Tolerances:
    """All tolerances of a gate, and the confidence of its intervals."""

    rules: Mapping[str, Any]
    confidence: float = CONFIDENCE

    @classmethod
    def parse(cls, check: Mapping[str, Any]) -> Tolerances:
        """From a suite's ``check:``. Raises InputError with every wrong selector and value; keys name them."""
        problems: list[Problem] = []
        confidence = check.get("confidence", CONFIDENCE)
        if isinstance(confidence, bool) or not isinstance(confidence, (int, float)) or not 0.5 < confidence < 1:
            problems.append(Problem(f"expected a fraction between 0.5 and 1, got {shorten(confidence)}", key="check.confidence"))
        rules = {name: value for name, value in check.items() if name != "confidence"}
        for name, value in rules.items():
            try:
                Tolerance.parse(value, metric(Selector.parse(name).metric))
            except InputError as error:
                problems += [problem.within(f"check.{name}") for problem in error.problems]
        if problems:
            raise InputError(problems)
        return cls(rules, float(confidence))

    def of(self, metric: Metric, conditions: Mapping[str, str], same_machine: bool) -> Tolerance:
        """The most telling rule: the one with the most conditions; without any, the metric's own."""
        fitting = [
            (len(selector.conditions), value)
            for selector, value in ((Selector.parse(name), value) for name, value in self.rules.items())
            if selector.metric == metric.name and selector.matches_conditions(conditions)
        ]
        if fitting:
            return Tolerance.parse(max(fitting, key=lambda rule: rule[0])[1], metric)
        if metric.exact:
            depends = metric.name not in VALUE_FREE
            return Tolerance((metric.tolerance or ROUNDING) if depends and not same_machine else 0.0, False)
        return Tolerance(metric.tolerance, is_fraction(metric))
