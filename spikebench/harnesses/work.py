"""The work of one pass, counted: ATen calls, bytes moved, allocations, kernel launches, instructions; what stands behind a time.

All but the instructions are exact, where times are not: a slow-down that shows here too has a cause, and calls, bytes and
instructions name the layer.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from spikebench.core.protocols import Subject
from spikebench.core.records import Record
from spikebench.harnesses._ways.ways import OURS, Dtype, Phase, Way, check_lists
from spikebench.harnesses._work.metrics import ALL


class Harness:
    """Needs no weights: the network is as ``latency`` times it."""

    @dataclass(frozen=True)
    class Options:
        """Every combination of the lists, as in ``latency``, eager. ``instructions``: ``perf`` reads the processor's counter,
        where there is one; ``callgrind`` simulates a process under valgrind, which takes minutes; ``off``.
        """

        batch_sizes: tuple[int, ...] = (1, 32)
        dtypes: tuple[Dtype, ...] = ("fp32",)
        backends: tuple[str, ...] = (OURS,)
        phases: tuple[Phase, ...] = ("inference",)
        instructions: Literal["perf", "callgrind", "off"] = "perf"

        def __post_init__(self) -> None:
            check_lists(self.batch_sizes, self.backends, dtypes=self.dtypes, phases=self.phases)

    metrics = ALL
    version = 1
    needs_weights = False
    exclusive = False
    resumes = False
    stage = False

    def run(self, subject: Subject, options: Options) -> Iterator[Record]:
        """Combination by combination; what cannot be run here is ``unavailable`` with the reason."""
        from spikebench.harnesses._work.measure import measure

        for batch_size in options.batch_sizes:
            for dtype in options.dtypes:
                for backend in options.backends:
                    for phase in options.phases:
                        yield from measure(subject, Way(backend, dtype=dtype, phase=phase), batch_size, options.instructions)
