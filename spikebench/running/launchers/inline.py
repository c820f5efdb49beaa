"""One job after the other, in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from spikebench.core.cells import Job


class Launcher:
    """Uses all threads of the process, so that what is timed is what a user would see."""

    @dataclasses.dataclass(frozen=True)
    class Options:
        """``threads``: CPU threads; 0 leaves torch's default."""

        threads: int = 0

    alone = True
    workers = 1

    def __init__(self, options: Options) -> None:
        self.options = options

    def run(self, chains: Iterable[Sequence[Job]], work: Callable[[Job], Iterator[Any]]) -> Iterator[Any]:
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(self.options.threads or before)
        try:
            for chain in chains:
                for job in chain:
                    yield from work(job)
        finally:
            # Whatever else this process runs is not of this launcher, and is known by its own number of threads.
            torch.set_num_threads(before)
