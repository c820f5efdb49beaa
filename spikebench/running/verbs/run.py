"""What the verb ``run`` does, from a path to a printed table."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from spikebench.core.console import standard_error, standard_output
from spikebench.core.registry import REGISTRIES
from spikebench.running.jobs.plan import Plan
from spikebench.running.run.progress import show
from spikebench.running.run.runner import Run, open_run


def run_suite(path: Path, results: Path, fresh: bool) -> bool:
    """Run a suite, write its reports and print the table. Returns whether a job failed.

    Raises InputError, StorageError; KeyboardInterrupt after saying how to go on.
    """
    return finish(open_run(path, results, fresh))


def finish(run: Run) -> bool:
    """Do what is pending, then report; see ``run_suite``."""
    console = standard_error()
    with run.alone():
        _announce(run, console)
        started = time.perf_counter()
        try:
            show(run.events(), [planned.job for planned in run.plan.pending], workers(run), console)
        except KeyboardInterrupt:
            console.print(f"interrupted; what is finished is kept in {run.store.path}: the same command goes on from there")
            raise
        if run.plan.pending:
            console.print(f"{len(run.plan.pending)} jobs in {time.perf_counter() - started:.0f} s")
        _report(run)
    if run.failures:
        console.print(f"{len(run.failures)} jobs failed; the next run tries them again", style="red")
    return bool(run.failures)


def workers(run: Run) -> int:
    """How many jobs run side by side."""
    launcher = run.suite.launcher
    return int(REGISTRIES["launchers"].get(launcher.name)(launcher.resolve("launchers")).workers)


def _announce(run: Run, console: Any) -> None:
    for notice in run.store.notices:
        console.print(f"notice: {notice}", soft_wrap=True)
    plan: Plan = run.plan
    done = [planned for planned in plan.jobs if planned.done]
    foreign = [planned for planned in done if planned.foreign]
    if foreign:
        count = f"{len(foreign)} of {len(done)}"
        console.print(f"notice: {count} reused jobs were measured with another version of the code (--fresh measures again)")
    total = len(done) + len(plan.pending)
    console.print(f"{run.suite.name}: {total} jobs, {len(done)} reused, {len(plan.pending)} to do")


def _report(run: Run) -> None:
    from spikebench.reading.model.frame import load_results
    from spikebench.reading.reports.report import make
    from spikebench.reading.reports.report import show as show_report

    frame = load_results(run.store.path)
    show_report(frame, standard_output())
    if run.changed or not (run.store.path / "report").is_dir():
        make([run.store.path], formats=run.suite.report["formats"])
