"""What the work harness counts."""

from __future__ import annotations

from spikebench.core.metrics import Metric

ATEN_CALLS = Metric(
    "aten_calls", "1", "lower", "counted", "ATen calls", portable=False, exact=True, combine="sum",
    note="operators that torch dispatches in one pass, ours and the backward pass among them; views too",
)  # fmt: skip
BYTES_MOVED = Metric(
    "bytes_moved", "B", "lower", "counted", "Bytes moved", display_unit="MiB", display_factor=2.0**-20, portable=False,
    exact=True, combine="sum",
    note="each operator reads its inputs and writes its outputs once; views and empty tensors move nothing; caches are not asked",
)  # fmt: skip
ALLOCATIONS = Metric(
    "allocations", "1", "lower", "counted", "Allocations", portable=False, exact=True,
    note="of torch's allocator in one pass",
)  # fmt: skip
KERNEL_LAUNCHES = Metric(
    "kernel_launches", "1", "lower", "counted", "Kernel launches", portable=False, exact=True,
    note="on a GPU, copies and fills left out",
)  # fmt: skip
INSTRUCTIONS = Metric(
    "instructions", "1", "lower", "measured", "Instructions", portable=False, combine="sum", tolerance=0.01,
    note="retired in user mode by all threads in one pass: perf's counter, or callgrind's simulation",
)  # fmt: skip
ALL = (ATEN_CALLS, BYTES_MOVED, ALLOCATIONS, KERNEL_LAUNCHES, INSTRUCTIONS)
