"""How many digits a stored baseline keeps. The gate compares at the same precision, so that storing changes no verdict."""

from __future__ import annotations

from spikebench.core.records import Record

DIGITS = 9


def significant(value: float, digits: int = DIGITS) -> float:
    """``value`` to so many significant digits; whole numbers below 10**digits stay as they are."""
    return float(f"{value:.{digits}g}")


def rounded(record: Record, digits: int = DIGITS) -> int | float | None:
    """A record's value as a baseline keeps it: counts stay whole and exact."""
    return record.value if record.value is None or isinstance(record.value, int) else significant(record.value, digits)
