"""Numbers with units as people write them: ``2M``, ``0.1 mJ``, ``97 %``, ``15 min``."""

from __future__ import annotations

import re

from spikebench.core.errors import InputError

_WHOLE = r"(?:[1-9]\d{0,2}(?:,\d{3})+|\d+(?:_\d+)*)"
"""Digits; commas stand between groups of three alone, since ``0,1`` is a tenth to half of the world."""
_NUMBER = re.compile(rf"^\s*(?P<number>[+-]?(?:{_WHOLE}(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)(?![\d,_.])\s*(?P<unit>.*?)\s*$")
_DECIMAL_COMMA = re.compile(r"^\s*[+-]?\d+,\d")
_PREFIXES = {"p": 1e-12, "n": 1e-9, "u": 1e-6, "µ": 1e-6, "μ": 1e-6, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
_SPECIAL = {
    "1": {"": 1.0, "%": 1e-2, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9, "T": 1e12},
    "s": {"min": 60.0, "h": 3600.0},
    "B": {"KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "TiB": 2.0**40},
    "1/s": {"1/s": 1.0, "/s": 1.0, "k/s": 1e3, "images/s": 1.0},
}


def parse_quantity(text: str, unit: str) -> float:
    """``text`` in the base ``unit`` (``s``, ``J``, ``B``, ``1`` for counts and fractions, ``1/s``): ``0.1 mJ`` is 1e-4 for J.

    SI prefixes are case-sensitive (m is milli, M mega). A quantity with a unit must name it: 0.1 alone is no energy. Commas and
    underscores group thousands (``2,000,000``). Raises InputError saying which units would do, and for a decimal comma.
    """
    match = _NUMBER.match(text)
    if match is None and _DECIMAL_COMMA.match(text):
        raise InputError(f"a comma groups thousands (2,000,000), a point stands before decimals (0.1); got {text.strip()!r}")
    if match is None:
        raise InputError(f"expected a number{'' if unit == '1' else ' with a unit'}, got {text!r}")
    units = units_of(unit)
    if match["unit"] not in units:
        known = ", ".join(name for name in units if name not in ("", "K") and name[0] not in "uμ")
        got = f"{match['unit']!r} in {text.strip()!r}" if match["unit"] else f"no unit in {text.strip()!r}"
        plain = "a plain number or one with " if unit == "1" else ""
        raise InputError(f"expected {plain}{known}; got {got}")
    return float(match["number"].replace(",", "").replace("_", "")) * units[match["unit"]]


def duration(given: float | str | None) -> float | None:
    """Seconds above 0, of a number of them or a text such as ``15 min``; None stays None. Raises InputError."""
    if given is None:
        return None
    seconds = parse_quantity(given, "s") if isinstance(given, str) else float(given)
    if not seconds > 0:
        raise InputError(f"must be above 0, got {given}")
    return seconds


def units_of(unit: str) -> dict[str, float]:
    """Every spelling of ``unit`` with what it multiplies by."""
    own = {} if unit in ("1", "1/s") else {f"{prefix}{unit}": factor for prefix, factor in {"": 1.0, **_PREFIXES}.items()}
    return {**own, **_SPECIAL.get(unit, {})}
