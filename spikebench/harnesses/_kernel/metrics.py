"""What the kernel harness measures."""

from __future__ import annotations

from spikebench.core.metrics import Metric
from spikebench.harnesses._kernel.points import Way
from spikebench.harnesses._ways.ways import SPIKINGJELLY

KERNEL_TIME = Metric(
    "kernel_time",
    "s",
    "lower",
    "measured",
    "LIF time",
    display_unit="ms",
    display_factor=1e3,
    digits=2,
    portable=False,
    tolerance=0.05,
    note="median of synchronised calls over all T steps, from rest, output allocated inside",
)
KERNEL_SPEEDUP = Metric(
    "kernel_speedup",
    "1",
    "higher",
    "measured",
    "Speed-up",
    display_unit="×",
    digits=2,
    portable=False,
    tolerance=0.05,
    note="time of SpikingJelly 2 over that of the backend, median of the ratios of the rounds that both ran in",
)
KERNEL_BANDWIDTH = Metric(
    "kernel_bandwidth",
    "B/s",
    "higher",
    "measured",
    "Bandwidth",
    display_unit="GB/s",
    display_factor=1e-9,
    digits=2,
    portable=False,
    tolerance=0.05,
    note="the bytes that no LIF can do without over its time, whatever it really moves: forward reads x and writes spikes; "
    "backward reads x and dL/dS and writes dL/dx",
)
COPY_BANDWIDTH = Metric(
    "copy_bandwidth",
    "B/s",
    "higher",
    "measured",
    "Copy bandwidth",
    display_unit="GB/s",
    display_factor=1e-9,
    digits=2,
    portable=False,
    tolerance=0.05,
    note="bytes read and written by tensor.copy_ of x into memory that is there already, in the same rounds",
)
COPY_FRACTION = Metric(
    "copy_fraction",
    "1",
    "higher",
    "measured",
    "Of a copy",
    display_unit="%",
    display_factor=100.0,
    digits=1,
    portable=False,
    tolerance=0.05,
    note="bandwidth as a fraction of that of a device copy, median of the ratios of the rounds that both ran in",
)
KERNEL_SPOILED = Metric(
    "kernel_spoiled",
    "1",
    "lower",
    "counted",
    "Spoiled calls",
    portable=False,
    note="calls that something else on the machine disturbed; left out of the medians, unless most are",
)


def emitted(way: Way, backends: tuple[str, ...]) -> tuple[Metric, ...]:
    """The metrics of one way. SpikingJelly is no speed-up over itself, and without it there are none."""
    ratio = SPIKINGJELLY in backends and way.backend != SPIKINGJELLY
    return (KERNEL_TIME, KERNEL_SPOILED, *((KERNEL_SPEEDUP,) if ratio else ()), KERNEL_BANDWIDTH, COPY_FRACTION)
