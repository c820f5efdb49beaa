"""What the verb ``search`` does, from a path to a printed table and the winners' suites."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path
from typing import Any

import yaml

from spikebench.core import lock
from spikebench.core.console import standard_error, standard_output
from spikebench.core.errors import InputError
from spikebench.core.search_storage import check_storage
from spikebench.reading.model.trials import Trials as FoundTrials
from spikebench.reading.model.trials import of_study
from spikebench.running.jobs.execute import log
from spikebench.running.jobs.plan import Plan, place_of, plan_cell, resolve_device
from spikebench.running.run.limits import Limits
from spikebench.running.run.progress import show
from spikebench.running.run.runner import Run, bind
from spikebench.running.search.screen import Screen
from spikebench.running.search.searcher import Searcher
from spikebench.running.search.study import SearchStudy, study_errors
from spikebench.running.search.trial import Trials
from spikebench.running.search.winners import write_winners
from spikebench.running.verbs.search_plan import checked

SECTIONS = ("search_trials", "search_importances")
"""What is worth a terminal; the plots are in the report."""


def run_search(
    path: Path,
    results: Path,
    job_timeout: str | None = None,
    stall: str | None = None,
    address: str | None = None,
    storage: str | None = None,
    launcher: str | None = None,
) -> bool:
    """Search until the suite's number of trials is done, test the winners, print and write what was found. ``job_timeout``,
    ``stall``, ``address``, ``launcher``: see ``run_suite``. ``storage``: in place of the suite's own; it is not written anywhere.

    Returns whether a trial or a winner's test failed. Raises InputError, StorageError; KeyboardInterrupt after the table.
    """
    suite = checked(path, Limits.parse(address, launcher, job_timeout=job_timeout, stall=stall))
    if storage is not None and suite.search is not None:
        suite = dataclasses.replace(suite, search=dataclasses.replace(suite.search, storage=_given(storage)))
    run = bind(suite, results / suite.name)
    console = standard_error()
    with study_errors(run.store.path):
        trials = Trials(suite, resolve_device(suite.device))
        existed = run.store.path.is_dir()
        run.store.create()
        with lock.alone(run.store.path, "spikebench search") as notices:
            run.store.notices += notices
            with contextlib.closing(SearchStudy(run.store.path, suite.name, trials.search, trials.identity())) as study:
                run.store.put_suite(yaml.safe_dump(dict(suite.data), sort_keys=False, allow_unicode=True))
                return _search(run, trials, study, console, existed)


def _given(storage: str) -> str:
    try:
        return check_storage(storage, password=True) or storage
    except InputError as error:
        raise InputError([problem.within("--storage") for problem in error.problems]) from None


def _search(run: Run, trials: Trials, study: SearchStudy, console: Any, existed: bool) -> bool:
    search = trials.search
    screen = Screen(search, 0, console)
    searcher = Searcher(trials, run.store, study, screen.note)
    screen.progress.update(screen.task, completed=searcher.done)
    for trial in study.trials:
        if trial.state.name == "COMPLETE":
            screen.best.note(tuple(trial.values), all(violation <= 0 for violation in trial.constraints.values()))
    console.print(f"{run.suite.name}: {searcher.done} of {search.trials} trials are there")
    if trials.exclusive and run.workers > 1:
        console.print("notice: an objective or a limit is a time, so trials run one after the other")
    log(run.store.path, "search", suite=run.suite.name, done=searcher.done, trials=search.trials)
    try:
        screen.run(searcher.events())
        tested = _test_winners(run, trials, searcher, console)
    except KeyboardInterrupt:
        report(run, study)
        console.print(f"interrupted; what is finished is kept in {run.store.path}: the same command goes on from there")
        raise
    elsewhere = study.elsewhere()
    if elsewhere:
        who = ", ".join(sorted(set(elsewhere)))
        console.print(
            f"{len(elsewhere)} trials run elsewhere ({who}): the driver that ends last tests the winners", soft_wrap=True
        )
    elif searcher.done < search.trials:
        why = "failed trials count as tried" if searcher.failures else "the time is up, or the grid has no more points"
        console.print(f"{searcher.done} of {search.trials} trials are complete ({why})")
    report(run, study)
    winners = _winners(run, trials, study)
    for path in winners:
        console.print(f"winner: {path}", soft_wrap=True)
    if searcher.failures:
        console.print(f"{searcher.failures} trials failed; the next search tries in their place", style="red")
    return bool(searcher.failures) or not tested


def _test_winners(run: Run, trials: Trials, searcher: Searcher, console: Any) -> bool:
    """Measure the winners as the suite asks, the test split included: once, now that nothing is chosen any more."""
    if searcher.study.elsewhere():
        return True
    found = of_study(searcher.study.study)
    cells = []
    for trial, cell in zip(() if found is None else found.front, _cells(trials, found), strict=True):
        if searcher.study.drivers is None or all(run.store.files_of(job.job_id) for job in trials.jobs(cell)):
            cells.append(cell)
        else:
            what = f"the winner trial {trial.number} was run by another driver: copy its results folder into {run.store.path}"
            console.print(f"{what} (cp -rn) and give the same command, which tests it", soft_wrap=True)
    place = place_of(run.suite)
    planned = tuple((cell, plan_cell(run.suite.jobs(cell, place.device), run.store, place.identity)) for cell in cells)
    tests = Run(run.suite, run.store, Plan(planned), whole=False, locked=True)
    searcher.want(job.job for job in tests.plan.jobs)
    pending = [job.job for job in tests.plan.pending]
    if pending:
        console.print(f"testing {len(cells)} winner{'s' * (len(cells) > 1)}: {len(pending)} jobs")
        show(tests.events(), pending, tests.workers, console)
    return not tests.failures


def _winners(run: Run, trials: Trials, study: SearchStudy) -> list[Path]:
    found = of_study(study.study)
    return [] if found is None else write_winners(run.suite, run.store, _cells(trials, found), found.front)


def _cells(trials: Trials, found: FoundTrials | None) -> list[Any]:
    return [] if found is None else [trials.cell(trial.params) for trial in found.front]


def report(run: Run, study: SearchStudy) -> None:
    """Print the table; write the whole report, plots too, beside the results."""
    from spikebench.reading.model.frame import load_results
    from spikebench.reading.reports.formats.terminal import show as print_document
    from spikebench.reading.reports.report import document, make

    study.keep()
    found = of_study(study.study)
    if found is None or not found.complete:
        print("no trial is complete yet")
        return
    frame = load_results(run.store.path)
    print_document(document(frame, SECTIONS), standard_output())
    make([run.store.path], formats=run.suite.report["formats"], frame=frame)
