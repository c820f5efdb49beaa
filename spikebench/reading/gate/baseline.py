"""Records that a project stands behind, stored so that a reviewer can read what a change does to them.

``results/reference/<suite>/`` is a results folder like any other. Lines are sorted, floats have nine significant digits, and what
the gate does not ask (curves, numbers that follow from others, per-sample counts) is left out.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterable
from pathlib import Path

from spikebench.core.errors import InputError, StorageError, storage_errors
from spikebench.core.job_files import JobFile
from spikebench.core.records import Record, label
from spikebench.core.store import ResultsFolder
from spikebench.reading.gate.check import Gate, check
from spikebench.reading.gate.undisturbed import undisturbed
from spikebench.reading.model.frame import load_results
from spikebench.reading.model.rounding import rounded, significant
from spikebench.reading.model.suite_facts import SuiteFacts
from spikebench.reading.model.summary import PER_STEP, is_whole
from spikebench.reading.reports.document import Document
from spikebench.reading.reports.report import document

ROOT = Path("results") / "reference"
SAMPLE_DIGITS = 4


def update(results: str | Path, root: str | Path = ROOT) -> Path:
    """Make the results the new baseline of their suite and return its folder.

    Raises InputError for results that have failures or no suite: nobody can stand behind those. The old baseline is replaced only
    when the new one is whole on disk.
    """
    source = ResultsFolder(results).require()
    text = source.suite_text()
    name = SuiteFacts.parse(text, str(source.path / "suite.yaml")).name
    if text is None or not name:
        raise InputError(f"{results}: no suite.yaml in it, so it is not known whose baseline this would be")
    jobs = list(source.job_files())
    _refuse_failures(jobs, source.notices)
    target = Path(root) / name
    fresh, old = target.with_name(f".{name}.new"), target.with_name(f".{name}.old")
    with storage_errors(target):
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        _write(source, text, jobs, ResultsFolder(fresh))
        if target.exists():
            target.rename(old)
        fresh.rename(target)
        shutil.rmtree(old, ignore_errors=True)
    return target


def find(suite: str, root: str | Path = ROOT) -> Path:
    """The baseline's folder. Raises StorageError if there is none, with the command that makes one."""
    folder = Path(root) / suite
    if not (folder / "jobs").is_dir():
        raise StorageError(f"{folder}: no baseline of the suite {suite!r}; `spikebench baseline update RESULTS` makes one")
    return folder


def show(suite: str, root: str | Path = ROOT) -> Document:
    """The baseline as a report."""
    return document(load_results(find(suite, root)), ["comparison"])


def diff(results: str | Path, root: str | Path = ROOT) -> Gate:
    """What ``update`` would change, judged."""
    new = load_results(results)
    return check(load_results(find(new.suite.name, root)), new)


def kept(records: Iterable[Record]) -> list[Record]:
    """A job's records as a baseline keeps them, sorted by metric, conditions and scope; without the calls that were spoiled."""
    asked = [
        record
        for record in undisturbed(records)
        if record.kind != "estimated" and not any(name in record.conditions for name in PER_STEP)
    ]
    whole = {record.metric for record in asked if is_whole(record)}
    return sorted((_plain(record) for record in asked if record.metric in whole), key=_order)


def _plain(record: Record) -> Record:
    return dataclasses.replace(record, value=rounded(record), samples=_samples(record))


def _samples(record: Record) -> list[int | float] | None:
    """Right and wrong answers stay, for McNemar's test; times are rounded; per-image counts are left out: their mean is exact."""
    if record.samples is None or record.kind == "counted":
        return None
    if set(record.samples) <= {0, 1}:
        return list(record.samples)
    return [significant(sample, SAMPLE_DIGITS) for sample in record.samples]


def _order(record: Record) -> tuple[str, int, str, str]:
    site = record.conditions.get("site", -1)
    return record.metric, site if isinstance(site, int) else -1, record.scope, label(record)


def _write(source: ResultsFolder, text: str, jobs: Iterable[JobFile], target: ResultsFolder) -> None:
    target.create()
    (target.path / "weights").rmdir()
    target.put_suite(text)
    used = {kind: set[str]() for kind in ("cells", "machines", "sources")}
    for job in jobs:
        records = kept(job.records)
        if records:
            for kind, identity in (("cells", "cell_id"), ("machines", "machine_id"), ("sources", "source_id")):
                used[kind].add(str(job.header[identity]))
            target.writer(job.header, records).finish()
    shutil.rmtree(target.path / "jobs" / "unfinished", ignore_errors=True)
    for kind, facts in (("cells", source.cells()), ("machines", source.machines()), ("sources", source.sources())):
        for identity in sorted(used[kind] & set(facts)):
            target.put_facts(kind, identity, facts[identity])
    for identity, split in source.datasets().items():
        target.put_facts("datasets", identity, split)


def _refuse_failures(jobs: Iterable[JobFile], notices: Iterable[str]) -> None:
    failed = [f"{label(record)}: {record.reason}" for job in jobs for record in job.records if record.status == "failed"]
    problems = [*notices, *failed]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise InputError(f"a baseline must be whole, but: {'; '.join(problems[:5])}{more}; run the suite again first")
