"""Which chain of jobs begins first: the one that is expected to take longest.

A grid's tail is short when the last chains to begin are short ones: whatever the number of workers, the makespan is then at most
4/3 of the best possible (Graham 1969; references.md 8b), where one in arrival order may take nearly twice the best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean

from spikebench.core.cells import Job
from spikebench.core.registry import REGISTRIES
from spikebench.core.store import ResultsFolder
from spikebench.core.suite import Suite
from spikebench.running.jobs.plan import Place, make_plan

SHARE = 0.01
"""Of the time that it foresees, what an estimate may take itself (and a second and a half however little that is)."""

Expected = Mapping[str, float]
"""cell_id -> seconds that its training is expected to take."""


def longest_first(chains: Sequence[Sequence[Job]], expected: Expected) -> list[Sequence[Job]]:
    """The chains by the time that their trainings are expected to take, in their order where that is the same.

    A cell of which nothing is known counts as the mean of the others; a chain that trains nothing comes last.
    """
    mean = fmean(expected.values()) if expected else 0.0

    def seconds(chain: Sequence[Job]) -> float:
        trains = any(job.harness == job.cell.training for job in chain)
        return expected.get(chain[0].cell.cell_id, mean) if trains else 0.0

    return sorted(chains, key=seconds, reverse=True)


def expect(suite: Suite, folder: Path, place: Place, fresh: bool) -> Expected:
    """What ``run --plan`` would say of each cell that is to be trained; nothing where their order makes no difference.

    Steps of each network are timed on this machine. What goes wrong with that goes wrong in the job itself, which then says so:
    here it only leaves the chains in their order.
    """
    from spikebench.running.run.estimate import estimate

    options = suite.launcher.resolve("launchers")
    launcher = REGISTRIES["launchers"].get(suite.launcher.name)(options)
    trained = {cell.group_id for cell in suite.cells if cell.training is not None}
    if launcher.alone or len(trained) < 2 or len(suite.cells) <= launcher.workers or launcher.workers < 2:
        return {}
    plan = make_plan(suite, ResultsFolder(folder), fresh, place)
    trainings = {
        chain[0].cell.group_id for chain in plan.shared_chains() if any(job.harness == job.cell.training for job in chain)
    }
    if len(trainings) < 2 or len(plan.shared_chains()) <= launcher.workers:
        return {}
    try:
        guesses = estimate(plan, getattr(options, "threads", 0), SHARE)
    except Exception:
        return {}
    return {cell_id: guess.seconds for cell_id, guess in guesses.cells.items() if guess.seconds is not None}
