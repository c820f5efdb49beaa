"""What a driver must know of a suite before it can plan, and only torch can tell: networks, their ids, this machine.

A driver whose jobs run in other processes asks a short-lived one, and never holds torch's half gigabyte itself.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

from spikebench.core import own_files, yaml_nodes
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.garbage import not_searched
from spikebench.core.registry import REGISTRIES
from spikebench.core.suite import Suite
from spikebench.core.suite_reader import load
from spikebench.running.jobs.plan import Place, place_of
from spikebench.running.launchers._apart import Call, apart, here
from spikebench.running.run.limits import AS_THE_SUITE, Limits
from spikebench.running.run.placement import Expected, expect


@dataclasses.dataclass(frozen=True)
class Survey:
    """A checked suite, whose cells know their ids, where its jobs will run, and how long they are expected to take there."""

    suite: Suite
    place: Place
    expected: Expected = dataclasses.field(default_factory=dict)


def survey(
    path: str | Path,
    limits: Limits = AS_THE_SUITE,
    results: Path | None = None,
    fresh: bool = False,
    call: Call | None = None,
) -> Survey:
    """Read and check a suite file where ``call`` calls: if not given, here or, where nothing else needs torch here, in a process
    of its own. Raises InputError with every problem of the file.

    ``results``: where its folder is, for a driver that is going to run the suite; without it nothing is expected of its jobs.
    """
    if call is None:
        call = apart if limits.address is not None or _runs_elsewhere(path, limits.launcher) else here
    found = call(_survey, path, limits, results, fresh)
    own_files.use(found.suite.own)
    return found


@not_searched()
def _survey(path: str | Path, limits: Limits = AS_THE_SUITE, results: Path | None = None, fresh: bool = False) -> Survey:
    from spikebench.running.jobs import rules

    suite = limits.of(load(path, rules))
    for cell in suite.cells:
        cell.known()
    place = place_of(suite)
    return Survey(suite, place, {} if results is None else expect(suite, results / suite.name, place, fresh))


def _runs_elsewhere(path: str | Path, given: Choice | None = None) -> bool:
    """Whether the suite's launcher, or the one given, runs jobs in other processes; what is wrong with the file is for the check
    to say."""
    try:
        launcher = given or Choice.parse(dict(yaml_nodes.read(path).data)["launcher"])
        return not REGISTRIES["launchers"].get(launcher.name).alone
    except (InputError, KeyError, TypeError, ValueError):
        return False
