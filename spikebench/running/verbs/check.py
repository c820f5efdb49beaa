"""What the verb ``check`` does: measure a suite anew, in a folder that goes away, and judge it against kept results."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from spikebench.core.console import standard_error
from spikebench.core.errors import SpikebenchError, StorageError
from spikebench.core.suite import Suite
from spikebench.core.suite_reader import load
from spikebench.reading.gate.check import Gate, check, require_whole, shared_groups
from spikebench.reading.model.frame import Frame, load_results
from spikebench.reading.model.suite_facts import SuiteFacts
from spikebench.running.jobs import rules
from spikebench.running.run.progress import show
from spikebench.running.run.runner import bind


def measure_anew(suite: Suite) -> Frame:
    """All of a suite's results, measured now, whatever is on disk."""
    with tempfile.TemporaryDirectory(prefix="spikebench-") as folder:
        run = bind(suite, Path(folder) / suite.name)
        show(run.events(), [planned.job for planned in run.plan.pending], run.workers, standard_error())
        return load_results(run.store.path)


def check_suite(path: Path, against: Path) -> Gate:
    """Measure and judge. The baseline is read first, so that a missing one costs no time. It is never written.

    Raises InputError and StorageError for a baseline that cannot be used, NotComparableError for one of other cells.
    """
    if not against.exists():
        made = "`spikebench run SUITE`, then `spikebench baseline update RESULTS`"
        raise StorageError(f"{against}: no such folder; a baseline is made by {made}")
    baseline = load_results(against)
    if baseline.notices or not len(baseline):
        raise StorageError("\n".join(baseline.notices or [f"{against}: the baseline holds no results"]))
    suite = load(path, rules)
    _require_baseline_of(suite, baseline, against)
    return check(baseline, measure_anew(suite))


def _require_baseline_of(suite: Suite, baseline: Frame, against: Path) -> None:
    """What the gate would refuse when all is measured, before: a baseline of another suite, or with cells that this one lacks."""
    cells = {cell.cell_id: cell.to_plain() for cell in suite.cells}
    try:
        require_whole(baseline, shared_groups(baseline, Frame((), cells, suite=SuiteFacts(suite.name))))
    except SpikebenchError as error:
        raise type(error)(str(suite.document.problem(("suite",), f"{error} (--against {against})"))) from None


def outputs(
    gate: Gate, markdown: Path | None = None, junit: Path | None = None, json: Path | None = None, github: bool = False
) -> Sequence[str]:
    """Write the files that were asked for; returns the lines that GitHub Actions turns into annotations."""
    if markdown is not None:
        gate.markdown(markdown)
    if junit is not None:
        gate.junit(junit)
    if json is not None:
        gate.json(json)
    return gate.github() if github else []
