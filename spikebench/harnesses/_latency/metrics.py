"""What the latency harness measures."""

from __future__ import annotations

from spikebench.core.metrics import Metric

LATENCY = Metric(
    "latency",
    "s",
    "lower",
    "measured",
    "Latency",
    display_unit="ms",
    display_factor=1e3,
    portable=False,
    tolerance=0.05,
    note="median of synchronised calls, one batch each; neuron state is reset inside",
)
THROUGHPUT = Metric(
    "throughput",
    "1/s",
    "higher",
    "measured",
    "Throughput",
    display_unit="images/s",
    portable=False,
    tolerance=0.05,
    note="images per second of calls queued one after the other, without waiting between them",
)
FIRST_CALL = Metric(
    "first_call",
    "s",
    "lower",
    "measured",
    "First call",
    display_unit="s",
    portable=False,
    tolerance=0.5,
    note="the very first call: compilation and capture, with whatever caches were warm",
)
SPOILED = Metric(
    "spoiled_rounds",
    "1",
    "lower",
    "counted",
    "Spoiled rounds",
    portable=False,
    note="latency samples left out of the median: steal, or more than one involuntary context switch per 0.1 s",
)
FLIPPED = Metric(
    "flipped_spikes",
    "1",
    "lower",
    "counted",
    "Flipped spikes",
    display_unit="%",
    display_factor=100.0,
    portable=False,
    exact=True,
    note="neuron outputs that folding BatchNorm into weights has changed, of all, on the batch that is timed",
)
SM_CLOCK = Metric(
    "sm_clock",
    "Hz",
    None,
    "measured",
    "SM clock",
    display_unit="MHz",
    display_factor=1e-6,
    portable=False,
    note="GPU, while timing",
)
TEMPERATURE = Metric("temperature", "°C", None, "measured", "Temperature", portable=False, note="GPU, while timing")
POWER_DRAW = Metric(
    "power_draw", "W", None, "measured", "Power draw", portable=False, note="GPU, while timing, as NVML samples it"
)
