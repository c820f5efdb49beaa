"""What the memory harness measures."""

from __future__ import annotations

from spikebench.core.metrics import Metric

MIB = 2.0**-20
PEAK_ALLOCATED = Metric(
    "peak_allocated",
    "B",
    "lower",
    "measured",
    "Peak memory",
    display_unit="MiB",
    display_factor=MIB,
    portable=False,
    exact=True,
    note="weights, batch, optimizer state and all that one step allocates",
)
PEAK_RESERVED = Metric(
    "peak_reserved",
    "B",
    "lower",
    "measured",
    "Peak reserved memory",
    display_unit="MiB",
    display_factor=MIB,
    portable=False,
    note="what the process held from the GPU, caches included",
)
SAVED_BYTES = Metric(
    "saved_bytes",
    "B",
    "lower",
    "measured",
    "Saved for backward",
    display_unit="MiB",
    display_factor=MIB,
    portable=False,
    combine="sum",
    exact=True,
    note="activations that a training step keeps; each storage once",
)
PARAMETER_BYTES = Metric(
    "parameter_bytes",
    "B",
    "lower",
    "counted",
    "Parameters",
    display_unit="MiB",
    display_factor=MIB,
    exact=True,
    note="in memory, buffers left out",
)
CHECKPOINT_SIZE = Metric(
    "checkpoint_size",
    "B",
    "lower",
    "counted",
    "Checkpoint size",
    display_unit="MiB",
    display_factor=MIB,
    exact=True,
    tolerance=0.01,
    note="weights.pt on disk",
)
