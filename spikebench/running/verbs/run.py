"""What the verb ``run`` does, from a path to a printed table."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

from spikebench.core.console import standard_error, standard_output
from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.core.source import changed, source
from spikebench.core.store import ResultsFolder
from spikebench.core.waiting import awaited
from spikebench.running.jobs.identity import Identity
from spikebench.running.jobs.plan import Plan, place_of
from spikebench.running.run import weights_budget
from spikebench.running.run.deadline import Deadline, deadline
from spikebench.running.run.event_lines import STANDARD_ERROR, written
from spikebench.running.run.limits import Limits, seconds
from spikebench.running.run.progress import show
from spikebench.running.run.runner import Run, open_run
from spikebench.training.begun import all_begun, begun


def run_suite(
    path: Path,
    results: Path,
    fresh: bool,
    max_time: str | None = None,
    job_timeout: str | None = None,
    stall: str | None = None,
    max_weights: str | None = None,
    address: str | None = None,
    quiet: bool = False,
    json_log: Path | None = None,
    launcher: str | None = None,
    wait: bool = True,
) -> bool:
    """Run a suite, write its reports and print the table. Returns whether a job failed. ``max_time``: ``8 h``, ``45 min``;
    ``job_timeout`` and ``stall`` too, in place of the suite's own. ``max_weights``: ``20 GiB`` (``run.weights_budget``).
    ``address``: of a Ray cluster that does the jobs. ``quiet``: nothing is said but failures, and the table. ``json_log``: where
    events are written as well (``run.event_lines``). ``launcher``: in place of the suite's own, as there. ``wait``: for jobs that
    go on without this process.

    Raises InputError, StorageError; KeyboardInterrupt after saying how to go on, when the time is up too.
    """
    limits = Limits.parse(address, launcher, job_timeout=job_timeout, stall=stall)
    budget = weights_budget.parse(max_weights)
    with deadline(seconds("--max-time", max_time)) as limit:
        run = open_run(path, results, fresh, limits)
        run.max_weights, run.wait = budget, wait
        if not wait and not getattr(REGISTRIES["launchers"].get(run.suite.launcher.name), "stays", False):
            raise InputError(f"--no-wait: jobs of the launcher {run.suite.launcher.name} end with this process; slurm's do not")
        return finish(run, limit, quiet, json_log)


def finish(run: Run, limit: Deadline | None = None, quiet: bool = False, json_log: Path | None = None) -> bool:
    """Do what is pending, then report; see ``run_suite``."""
    quiet = quiet or json_log == STANDARD_ERROR
    console, aside = standard_error(), standard_error(quiet)
    with run.alone():
        _announce(run, aside)
        started = time.perf_counter()
        jobs = [planned.job for planned in run.plan.pending]
        events = run.events() if json_log is None else written(run.events(), jobs, json_log)
        try:
            show(events, jobs, run.workers, console, quiet)
        except KeyboardInterrupt:
            what = "the time is up (--max-time)" if limit is not None and limit.over else "interrupted"
            console.print(f"{what}; what is finished is kept in {run.store.path}: the same command goes on from there")
            raise
        if not run.wait and run.plan.pending:
            console.print("the same command, without --no-wait, waits for them, collects and goes on", soft_wrap=True)
            return False
        if run.plan.pending:
            aside.print(f"{len(run.plan.pending)} jobs in {time.perf_counter() - started:.0f} s")
        _report(run, aside)
    if run.failures:
        console.print(f"{_failed(run)}; the next run tries them again", style="red")
    return bool(run.failures)


def _failed(run: Run) -> str:
    """``1 job failed, and 2 for want of weights``"""
    jobs = {planned.job.job_id: planned.job for planned in run.plan.jobs}
    in_vain = sum(bool(awaited(jobs[job_id].cell.cell_id, reason)) for job_id, reason in run.failures.items() if job_id in jobs)
    own = len(run.failures) - in_vain
    return f"{own} job{'s' * (own != 1)} failed" + (f", and {in_vain} for want of weights" if in_vain else "")


def _announce(run: Run, console: Any) -> None:
    for notice in run.store.notices:
        console.print(f"notice: {notice}", soft_wrap=True)
    plan: Plan = run.plan
    done = [planned for planned in plan.jobs if planned.done]
    for what, count in other_code(plan, run.store).items():
        words = f"{count} of {len(done)} reused jobs were measured with other code: {what}"
        console.print(f"notice: {words} (--fresh measures again)", soft_wrap=True)
    again = begun_with_other_code(plan, run.store, (run.place or place_of(run.suite)).identity)
    if again:
        console.print(f"notice: {again} of the jobs to do were begun with other code, and start again", soft_wrap=True)
    total = len(done) + len(plan.pending)
    console.print(f"{run.suite.name}: {total} jobs, {len(done)} reused, {len(plan.pending)} to do")


def other_code(plan: Plan, store: ResultsFolder) -> dict[str, int]:
    """What was changed since jobs that are reused were measured -> how many they are."""
    counts = Counter(planned.source_id for planned in plan.jobs if planned.done and planned.source_id != source()["source_id"])
    if not counts:
        return {}
    known = store.sources()
    found: Counter[str] = Counter()
    for source_id, count in counts.items():
        parts = changed(known[source_id], source()) if source_id in known else [f"source {source_id} is not described"]
        if parts:
            found[", ".join(parts)] += count
    return dict(found)


def begun_with_other_code(plan: Plan, store: ResultsFolder, here: Identity) -> int:
    """Pending jobs whose interrupted work is not taken up: what two versions of the code make between them is of neither."""
    trained, unfinished, count = store.with_weights(), store.unfinished(), 0
    for job in (planned.job for planned in plan.pending):
        folder = store.weights_folder(job.cell.cell_id)
        left = all_begun(folder, job.job_id) if job.cell.cell_id in trained else []
        interrupted = job.job_id in unfinished and REGISTRIES["harnesses"].get(job.harness.name).resumes
        path = store.job_path(job.job_id, here.machine_id)
        lost = interrupted and store.read_partial(path) and not store.read_partial(path, here.source_id)
        count += bool((left and begun(folder, job.job_id) not in left) or lost)
    return count


def _report(run: Run, aside: Any) -> None:
    from spikebench.reading.model.frame import load_results
    from spikebench.reading.reports.report import make
    from spikebench.reading.reports.report import show as show_report

    frame = load_results(run.store.path, known=run.store.known)
    show_report(frame, standard_output())
    folder = run.store.path / "report"
    if run.changed or not folder.is_dir():
        make([run.store.path], formats=run.suite.report["formats"], frame=frame)
    pages = [folder / name for name in ("report.html", "report.md", "report.tex") if (folder / name).is_file()]
    if pages or folder.is_dir():
        aside.print(f"report: {pages[0] if pages else folder}", soft_wrap=True, highlight=False)
