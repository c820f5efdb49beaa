"""What the power harness measures."""

from __future__ import annotations

from spikebench.core.metrics import Metric

ENERGY_PER_IMAGE = Metric(
    "energy_per_image",
    "J",
    "lower",
    "measured",
    "Measured energy",
    display_unit="mJ",
    display_factor=1e3,
    portable=False,
    tolerance=0.1,
    note="device counter over windows of seconds, idle power subtracted",
)
POWER = Metric(
    "power",
    "W",
    "lower",
    "measured",
    "Power",
    display_unit="W",
    portable=False,
    tolerance=0.1,
    note="while running, idle included",
)
IDLE_POWER = Metric(
    "idle_power", "W", "lower", "measured", "Idle power", display_unit="W", portable=False, note="just before the first window"
)
