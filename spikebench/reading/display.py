"""How a metric's numbers are shown in a column: unit, scale and decimals chosen for all rows at once."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable

from spikebench.core.metrics import Metric
from spikebench.reading.reports.document import Display

PREFIXES = {-12: "p", -9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T"}


def display_for(metric: Metric, values: Iterable[float], signed: bool = False) -> Display:
    """The metric's own display unit and factor; an SI prefix that suits the largest value where it declares none, or where its
    own would make numbers of less than 0.1 or more than four digits.

    ``digits`` decimals, but at least three significant digits of the largest value: a column never shows 0.000 for what is not
    zero.
    """
    values = list(values)
    largest = max((abs(value) for value in values), default=0.0)
    base = PREFIXED.get(metric.unit)
    shown = metric.display_unit or (metric.unit if metric.unit != "1" else "")
    unit, factor = shown, metric.display_factor
    prefixed = base is not None and (not metric.display_unit or shown in {prefix + base for prefix in PREFIXES.values()})
    if prefixed and (not metric.display_unit or (largest and not 0.1 <= largest * factor < 1e4)):
        exponent = _exponent(largest, smallest=0 if metric.unit == "1" and metric.kind == "counted" else -12)
        unit, factor = PREFIXES[exponent] + str(base), 10.0**-exponent
    whole = factor == 1 and all(value == int(value) for value in values)
    return Display(unit, factor, 0 if whole else decimals(largest * factor, metric.digits), signed)


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


def _exponent(largest: float, smallest: int) -> int:
    if largest == 0:
        return 0
    return min(12, max(smallest, 3 * math.floor(math.log10(largest) / 3)))
