"""One job after the other, in this process."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from spikebench.core import allocator
from spikebench.core.cells import Job
from spikebench.core.garbage import with_rest_set_aside
from spikebench.core.process import host
from spikebench.core.protocols import NO_CARE, Care
from spikebench.running.jobs.events import Where
from spikebench.running.launchers import processes
from spikebench.running.launchers._seats import Seat


class Launcher:
    """Uses all threads of the process, so that what is timed is what a user would see.

    No process can end itself when it hangs, or outlive a job that takes it down: where jobs have limits, and for a job that has
    taken its process down before, the work is done in one other process with as many threads.
    """

    @dataclasses.dataclass(frozen=True)
    class Options:
        """``threads``: CPU threads; 0 leaves torch's default."""

        threads: int = 0

    alone = True
    workers = 1

    def __init__(self, options: Options) -> None:
        self.options = options

    def run(self, chains: Iterable[Sequence[Job]], work: Callable[[Job], Iterator[Any]], care: Care = NO_CARE) -> Iterator[Any]:
        import torch

        allocator.keep()
        before = torch.get_num_threads()
        threads = self.options.threads or before
        # No seat of its own: it sees the devices that this process sees.
        elsewhere = processes.Launcher(processes.Launcher.Options(threads=threads), [Seat(Where(host(), "1"), threads)])
        if care.limited:
            yield from elsewhere.run(chains, work, care)
            return
        torch.set_num_threads(threads)
        try:
            for chain in with_rest_set_aside(chains):
                for job in chain:
                    yield from elsewhere.run([[job]], work, care) if care.apart(job) else work(job)
        finally:
            # Whatever else this process runs is not of this launcher, and is known by its own number of threads.
            torch.set_num_threads(before)
