"""How a metric's numbers are shown in a column: unit, scale and decimals chosen for all rows at once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from spikebench.core.metrics import Metric

PREFIXES = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}


@dataclasses.dataclass(frozen=True, slots=True)
class Display:
    """How a column shows its numbers: stored value x ``factor``, with ``decimals``; ``signed`` for differences."""

    unit: str = ""
    factor: float = 1.0
    decimals: int = 3
    signed: bool = False

    def number(self, value: float) -> str:
        """``-`` is a real minus sign; a zero has no sign."""
        text = f"{value * self.factor:{'+' if self.signed else ''},.{self.decimals}f}"
        if self.signed and not any(digit in text for digit in "123456789"):
            text = text.lstrip("+-")
        return text.replace("-", "\N{MINUS SIGN}")

    def text(self, value: float, half_width: float | None = None) -> str:
        """``98.1 ± 0.3``"""
        if half_width is None:
            return self.number(value)
        return f"{self.number(value)} ± {half_width * self.factor:,.{self.decimals}f}"


def display_for(metric: Metric, values: Iterable[float], signed: bool = False) -> Display:
    """The metric's own display unit and factor; an SI prefix that suits the values where it declares none, or where its own would
    make numbers below 0.1 or of more than four digits.

    ``digits`` decimals, but at least three significant digits of the largest value, and enough for the smallest not to read 0.000
    (within reason: no more than three decimals beyond).
    """
    values = list(values)
    sizes = [abs(value) for value in values if value] or [0.0]
    largest, smallest = max(sizes), min(sizes)
    base = PREFIXED.get(metric.unit)
    shown = metric.display_unit or (metric.unit if metric.unit != "1" else "")
    unit, factor = shown, metric.display_factor
    prefixed = base is not None and (not metric.display_unit or shown in {prefix + base for prefix in PREFIXES.values()})
    fits = smallest * factor >= 0.1 and largest * factor < 1e4
    if prefixed and largest and not (metric.display_unit and fits):
        exponent = _exponent(largest, smallest, lowest=0 if metric.unit == "1" else -12)
        unit, factor = PREFIXES[exponent] + str(base), 10.0**-exponent
    whole = factor == 1 and all(value == int(value) for value in values)
    needed = decimals(largest * factor, metric.digits)
    if smallest:
        needed = max(needed, min(needed + 3, -math.floor(math.log10(smallest * factor))))
    return Display(unit, factor, 0 if whole else needed, signed)


def stored_unit(display: Display) -> str:
    """The unit of the values themselves: base SI, "" for fractions and counts."""
    if display.factor == 1:
        return display.unit
    for exponent, prefix in PREFIXES.items():
        if prefix and display.unit.startswith(prefix) and math.isclose(display.factor, 10.0**-exponent):
            return display.unit.removeprefix(prefix)
    return ""


def points(display: Display) -> Display:
    """For a difference of fractions: percentage points instead of percent, always with a sign."""
    return dataclasses.replace(display, unit="pp" if display.unit == "%" else display.unit, signed=True)


def decimals(largest: float, digits: int) -> int:
    """Decimals for a column whose largest shown number is ``largest``: three significant digits are enough above ten."""
    if largest == 0:
        return 0
    magnitude = math.floor(math.log10(largest))
    return max(0, min(digits, 3 - magnitude) if magnitude >= 0 else max(digits, 2 - magnitude))


PREFIXED = {"1": "", "s": "s", "J": "J", "B": "B", "W": "W"}
"""Base units that take SI prefixes, and their symbols."""


def _exponent(largest: float, smallest: float, lowest: int) -> int:
    """Of the SI prefix: the largest value has one to three digits; up to six where the smallest would fall below 0.1."""
    exponent = min(12, max(lowest, 3 * math.floor(math.log10(largest) / 3)))
    while smallest < 0.1 * 10.0**exponent and largest < 1e6 * 10.0 ** (exponent - 3) and exponent - 3 >= lowest:
        exponent -= 3
    return exponent


def is_fraction(metric: Metric) -> bool:
    """Whether the metric is a part of one, whose differences are percentage points."""
    return metric.unit == "1" and metric.display_unit == "%"
