"""How the variants of a plot are told apart: a few by name, many by their factors (colour, shape or line, panel)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from spikebench.reading.model.factors import show
from spikebench.reading.model.frame import Frame
from spikebench.reading.reports.document import Key, Look

NAMED = 8
"""Variants up to this many are named in the legend, each with a colour and a shape of its own."""
LEVELS = {"colour": 8, "shape": 8, "panel": 6}
"""Values of a factor that an eye tells apart."""


@dataclasses.dataclass(frozen=True)
class Looks:
    """``of``: group_id -> look; empty where the variants are few and named. ``said``: what the caption must say."""

    of: dict[str, Look]
    keys: tuple[Key, ...] = ()
    said: str = ""


def looks(frame: Frame, groups: Sequence[str], panels: bool = True) -> Looks:
    """Colour is for the first factor that varies, shape for the second, panels for the number of time steps, or the third.

    Factors with more values than can be told apart, and those beyond three, are left to the table, which the caption says.
    """
    if len(groups) <= NAMED:
        return Looks({})
    values = {
        name: list(dict.fromkeys(show(frame.groups[group_id].shown.get(name)) for group_id in groups)) for name in frame.factors()
    }
    varying = [name for name, known in values.items() if len(known) > 1]
    # Words are what papers ask about; numbers come after them, and time steps make the clearest panels.
    order = sorted(varying, key=lambda name: (name == "T", _is_number(values[name])))
    chosen: dict[str, str] = {}
    if panels and len(varying) > 2 and "T" in varying and len(values["T"]) <= LEVELS["panel"]:
        chosen["panel"] = "T"
    for channel in ("colour", "shape", *(("panel",) if panels else ())):
        name = next((name for name in order if name not in chosen.values() and len(values[name]) <= LEVELS[channel]), None)
        if channel not in chosen and name is not None:
            chosen[channel] = name
    keys = tuple(Key(channel, chosen[channel].removeprefix("train."), tuple(values[chosen[channel]])) for channel in chosen)  # type: ignore[arg-type]
    places = {channel: {value: index for index, value in enumerate(values[name])} for channel, name in chosen.items()}
    of = {
        group_id: Look(**{c: places[c][show(frame.groups[group_id].shown.get(name))] for c, name in chosen.items()})
        for group_id in groups
    }
    left = [name.removeprefix("train.") for name in varying if name not in chosen.values()]
    said = f"Variants that differ in {' or '.join(left)} alone look alike here; the table tells them apart." if left else ""
    return Looks(of, keys, said)


def _is_number(values: Sequence[str]) -> bool:
    try:
        return bool([float(value) for value in values])
    except ValueError:
        return False
