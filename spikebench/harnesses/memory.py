"""Peak memory in inference and training, bytes saved for the backward pass by layer, parameters, checkpoint size.

On a GPU the peaks are those of torch's caching allocator; on a CPU they are summed up from every allocation that torch's profiler
reports, so memory that a library takes by itself (oneDNN's scratch pads) is not in them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from spikebench.core.protocols import Subject
from spikebench.core.records import Record
from spikebench.harnesses._memory.metrics import CHECKPOINT_SIZE, PARAMETER_BYTES, PEAK_ALLOCATED, PEAK_RESERVED, SAVED_BYTES
from spikebench.harnesses._ways.ways import OURS, Dtype, Phase, Way, check_lists


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
    stage = False

    def run(self, subject: Subject, options: Options) -> Iterator[Record]:
        """Sizes of the network itself, then every combination; one that runs out of memory fails alone."""
        from spikebench.harnesses._memory.allocations import bytes_of, checkpoint_size
        from spikebench.harnesses._memory.measure import measure

        yield Record.of(PARAMETER_BYTES, bytes_of(subject.model.parameters()))
        yield Record.of(CHECKPOINT_SIZE, checkpoint_size(subject.model))
        for batch_size in options.batch_sizes:
            for dtype in options.dtypes:
                for backend in options.backends:
                    for phase in options.phases:
                        yield from measure(subject, Way(backend, dtype=dtype, phase=phase), batch_size)
