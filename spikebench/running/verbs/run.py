"""What the verb ``run`` does, from a path to a printed table."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from spikebench.core.console import standard_error, standard_output
from spikebench.core.registry import REGISTRIES
from spikebench.running.jobs.plan import Plan, PlannedJob
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


def show_plan(path: Path, results: Path, fresh: bool) -> None:
    """Print what a run would do. Writes nothing."""
    from rich.table import Table

    from spikebench.running.run.estimate import estimate

    run = open_run(path, results, fresh)
    guesses = estimate(run.plan, getattr(run.suite.launcher.resolve("launchers"), "threads", 0))
    table = Table(title=f"{run.suite.name}: {len(run.plan.cells)} cells, {len(list(run.plan.jobs))} jobs", title_justify="left")
    for heading in ("cell", "variant", "seed", "parameters", "to do", "cached", "about"):
        table.add_column(heading, justify="right" if heading in ("seed", "parameters", "about") else "left")
    for cell, jobs in run.plan.cells:
        guess = guesses[cell.cell_id]
        table.add_row(
            cell.cell_id[:8],
            variant_label(run, cell),
            str(cell.seed),
            f"{guess.parameters:,}",
            _harnesses(planned for planned in jobs if not planned.done),
            _harnesses(planned for planned in jobs if planned.done),
            guess.spell(),
        )
    console = standard_output()
    console.print(table)
    total = sum(guess.seconds or 0 for guess in guesses.values()) / max(1, workers(run))
    pending = len(run.plan.pending)
    trainings = f"about {total / 60:.1f} min of training, by two steps of each variant timed here" if total else "no training"
    console.print(f"{pending} jobs to do, {trainings}; measurements come on top")


def _harnesses(jobs: Iterable[PlannedJob]) -> str:
    counted = Counter(planned.job.harness.name for planned in jobs)
    return " ".join(name if count == 1 else f"{name}×{count}" for name, count in counted.items()) or "-"


def variant_label(run: Run, cell: Any) -> str:
    """The fields in which the suite's variants differ; the size where they do not."""
    fields = cell.variant.to_plain()
    differing = [name for name in fields if len({str(variant.to_plain()[name]) for variant in run.suite.variants}) > 1]
    text = " ".join(f"{name}={getattr(cell.variant, name)}" for name in differing)
    return text or f"{cell.variant.depth}-{cell.variant.dim}"


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
