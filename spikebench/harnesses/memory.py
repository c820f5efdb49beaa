"""Peak memory in inference and training, bytes saved for the backward pass by layer, parameters, checkpoint size.

On a GPU the peaks are those of torch's caching allocator; on a CPU they are summed up from every allocation that torch's profiler
reports, so memory that a library takes by itself (oneDNN's scratch pads) is not in them.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spikebench.core.metrics import Metric
from spikebench.core.protocols import Subject
from spikebench.core.records import Record, Scalar, Status
from spikebench.harnesses._ways.ways import OURS, Dtype, Phase, Way, check_lists

if TYPE_CHECKING:
    from spikebench.harnesses._ways.contender import Contender

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


class Harness:
    """Bytes do not depend on the weights' values, so none are needed."""

    @dataclass(frozen=True)
    class Options:
        """Every combination of the lists; ``backends`` and ``dtypes`` as in ``latency``. A training step includes AdamW's."""

        batch_sizes: tuple[int, ...] = (32,)
        dtypes: tuple[Dtype, ...] = ("fp32",)
        backends: tuple[str, ...] = (OURS,)
        phases: tuple[Phase, ...] = ("inference", "training")

        def __post_init__(self) -> None:
            check_lists(self.batch_sizes, self.backends, dtypes=self.dtypes, phases=self.phases)

    metrics = (PEAK_ALLOCATED, PEAK_RESERVED, SAVED_BYTES, PARAMETER_BYTES, CHECKPOINT_SIZE)
    version = 1
    needs_weights = False
    exclusive = False
    resumes = False

    def run(self, subject: Subject, options: Options) -> Iterator[Record]:
        """Sizes of the network itself, then every combination; one that runs out of memory fails alone."""
        from spikebench.harnesses._memory.allocations import bytes_of, checkpoint_size

        yield Record.of(PARAMETER_BYTES, bytes_of(subject.model.parameters()))
        yield Record.of(CHECKPOINT_SIZE, checkpoint_size(subject.model))
        for batch_size in options.batch_sizes:
            for dtype in options.dtypes:
                for backend in options.backends:
                    for phase in options.phases:
                        yield from _measure(subject, Way(backend, dtype=dtype, phase=phase), batch_size)


def _conditions(way: Way, batch_size: int) -> dict[str, Scalar]:
    return {name: value for name, value in way.conditions(batch_size).items() if name != "mode"}


def _measure(subject: Subject, way: Way, batch_size: int) -> Iterator[Record]:
    from spikebench.harnesses._ways.contender import Contender, UnavailableError, first_batch

    conditions = _conditions(way, batch_size)
    try:
        x, y = first_batch(subject.dataset, batch_size, subject.device)
        records = list(_records(Contender(subject.model, way, x, y), conditions))
    except Exception as error:  # out of memory is a result, and the next combination may fit
        status: Status = "unavailable" if isinstance(error, UnavailableError) else "failed"
        reason = str(error) if status == "unavailable" else f"{type(error).__name__}: {str(error).strip().split(chr(10))[0]}"
        records = [Record.absent(metric, reason, status, conditions=conditions) for metric in _expected(way)]
    gc.collect()
    if subject.device.type == "cuda":
        import torch

        torch.cuda.empty_cache()
    yield from records


def _expected(way: Way) -> tuple[Metric, ...]:
    return (PEAK_ALLOCATED, PEAK_RESERVED, *((SAVED_BYTES,) if way.phase == "training" else ()))


def _records(contender: Contender, conditions: dict[str, Scalar]) -> Iterator[Record]:
    from torch.optim import AdamW

    from spikebench.harnesses._memory.allocations import Saved, bytes_of, peak

    optimizer = AdamW(contender.model.parameters()) if contender.way.phase == "training" else None

    def step() -> None:
        contender()
        if optimizer is not None:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    step()  # optimizer state and kernel caches are there from the second step on
    states = [] if optimizer is None else [value for state in optimizer.state.values() for value in state.values()]
    alive = bytes_of([*contender.model.parameters(), *contender.model.buffers(), *states, contender.x, contender.y])
    found = peak(step, contender.device, alive)
    remark = f"LIF by {contender.implementation()}"
    yield Record.of(PEAK_ALLOCATED, found.allocated, conditions=conditions, reason=remark)
    if found.reserved is None:
        yield Record.absent(PEAK_RESERVED, "a CPU's memory is not reserved ahead", conditions=conditions)
    else:
        yield Record.of(PEAK_RESERVED, found.reserved, conditions=conditions)
    if optimizer is None:
        return
    saved = Saved(contender.model, given=(contender.x, contender.y))
    with saved.watching():
        contender.forward()
    yield Record.of(SAVED_BYTES, saved.total, conditions=conditions, reason=remark)
    for layer, count in saved.by_layer.items():
        yield Record.of(SAVED_BYTES, count, scope=layer or "other", conditions=conditions)
