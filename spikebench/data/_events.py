"""Event files: what is wrong with one, and how its events become frames."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SENSOR = 128
"""Pixels a side of the cameras that these data sets were recorded with."""
By = Literal["number", "time"]
Unsorted = Literal["skip", "sort"]


def read_events(path: Path, unsorted: Unsorted) -> dict[str, NDArray[np.int64]]:
    """t (microseconds), x, y, p (0 or 1) of an npz file with these four arrays (n,), as SpikingJelly writes it.

    Raises ValueError in words for one without events, with arrays of different lengths, with pixels outside of the sensor, and
    for timestamps that go back, unless ``sort`` puts them in order.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            events = {key: np.asarray(file[key]).astype(np.int64) for key in "txyp"}
    except KeyError as error:
        raise ValueError(f"it has no array {error.args[0]}: expected t, x, y and p") from error
    sizes = {key: array.shape for key, array in events.items()}
    if len(set(sizes.values())) != 1 or events["t"].ndim != 1:
        raise ValueError(f"its arrays are of different shapes: {', '.join(f'{key} {shape}' for key, shape in sizes.items())}")
    if not events["t"].size:
        raise ValueError("it has no events")
    for key, above in (("x", SENSOR), ("y", SENSOR), ("p", 2)):
        low, high = int(events[key].min()), int(events[key].max())
        if low < 0 or high >= above:
            raise ValueError(f"{key} goes from {low} to {high}, expected 0 to {above - 1}")
    back = np.flatnonzero(np.diff(events["t"]) < 0)
    if back.size and unsorted == "skip":
        at = int(back[0])
        times = f"from {events['t'][at]} to {events['t'][at + 1]} us at event {at + 1}"
        raise ValueError(f"its timestamps go back {back.size} times, {times} (unsorted: sort puts them in order)")
    if back.size:
        order = np.argsort(events["t"], kind="stable")
        events = {key: array[order] for key, array in events.items()}
    return events


def frames_of(events: dict[str, Any], T: int, by: By, size: int) -> NDArray[np.uint8]:
    """(T, 2, size, size): how many events of each polarity each pixel had, at most 255.

    ``number``: equally many events a frame, the last one takes the rest; ``time``: equally long frames (both as in SpikingJelly's
    ``integrate_events_by_fixed_frames_number``, where a frame of ``time`` may be empty). A smaller ``size`` adds up neighbours.
    """
    t = events["t"]
    place = np.arange(len(t)) if by == "number" else t - t[0]
    span = len(t) // T if by == "number" else (int(t[-1]) - int(t[0])) // T
    frame = np.minimum(place // span, T - 1) if span else np.full(len(t), T - 1)
    x, y = (events[key] * size // SENSOR for key in "xy")
    index = ((frame * 2 + events["p"]) * size + y) * size + x
    counts = np.bincount(index, minlength=T * 2 * size * size)
    return np.minimum(counts, 255).astype(np.uint8).reshape(T, 2, size, size)
