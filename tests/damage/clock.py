"""A harness that takes no time; an entry point leads here."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from spikebench.core.metrics import Metric
from spikebench.core.records import Record

TICKS = Metric("ticks", "1", None, "counted", "Ticks")


class Clock:
    """Counts to three."""

    @dataclasses.dataclass(frozen=True)
    class Options:
        hour: int = 0

    metrics = (TICKS,)
    version = 1
    needs_weights = exclusive = resumes = stage = False

    def run(self, subject: Any, options: Options) -> Iterator[Record]:
        for n in range(3):
            yield Record.of(TICKS, options.hour * 10 + n, conditions={"n": n}, samples=[n, n + 1])
