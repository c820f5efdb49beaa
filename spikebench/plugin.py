"""pytest plugin: ``pytest --spikebench suites/ci.yaml`` makes every job of a suite a test.

Each test has a place in pytest-benchmark's table and JSON. A timing job's samples are what its benchmark consists of: they are
handed to the ``benchmark`` fixture as they were measured, since the harness knows what to warm up, synchronise and leave out. Any
other job is one round, its own duration; what it measured is in ``extra_info``. So ``--benchmark-json``, ``--benchmark-compare``
and services that read that file work on suites.
"""

from __future__ import annotations

import dataclasses
import itertools
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spikebench.plugin_against import AgainstItem

if TYPE_CHECKING:
    from spikebench.core.cells import Cell, Job
    from spikebench.core.records import Record
    from spikebench.core.suite import Suite

SUITES = pytest.StashKey[frozenset[Path]]()
FOLDERS = pytest.StashKey[list[Path]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("spikebench", "suites as tests")
    group.addoption(
        "--spikebench",
        action="append",
        default=[],
        metavar="SUITE",
        help="Collect the jobs of this suite; alone, unless paths are given.",
    )
    group.addoption(
        "--spikebench-against-ref",
        default=None,
        metavar="REF",
        help="Measure each suite in pairs against this commit, branch or tag too: a test that fails where it got worse.",
    )
    group.addoption(
        "--spikebench-results", default=None, metavar="DIR", help="Keep results in DIR/<suite>/ (default: a temporary folder)."
    )


def pytest_configure(config: pytest.Config) -> None:
    suites = [Path(config.invocation_params.dir, path).resolve() for path in config.getoption("spikebench")]
    config.stash[SUITES] = frozenset(suites)
    config.stash[FOLDERS] = []
    if config.getoption("spikebench_against_ref") is not None and not suites:
        raise pytest.UsageError("--spikebench-against-ref: which suite? Name it with --spikebench SUITE")
    for path in suites:
        if not path.is_file():
            raise pytest.UsageError(f"--spikebench: no such file: {path}")
    if suites:
        asked = config.args if config.args_source is pytest.Config.ArgsSource.ARGS else []
        config.args = [*asked, *map(str, suites)]


def pytest_unconfigure(config: pytest.Config) -> None:
    for folder in config.stash.get(FOLDERS, []):
        shutil.rmtree(folder, ignore_errors=True)


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.resolve() in parent.config.stash[SUITES]:
        collector: pytest.Collector = SuiteFile.from_parent(parent, path=file_path)
        return collector
    return None


class SuiteFile(pytest.File):
    """A suite; its items are its jobs, the training of a cell before what measures it."""

    def collect(self) -> Iterator[pytest.Item]:
        from spikebench.core.errors import SpikebenchError
        from spikebench.core.suite_reader import load
        from spikebench.running.jobs import rules
        from spikebench.running.jobs.plan import resolve_device

        try:
            suite = load(self.path, rules)
            bench = Bench(suite, self._folder(suite.name), resolve_device(suite.device))
        except SpikebenchError as error:
            raise self.CollectError(str(error)) from None
        names: dict[str, int] = {}
        for cell in suite.cells:
            for job in bench.jobs(cell):
                name = f"{job.harness.name}[{bench.label(job)}]"
                names[name] = names.get(name, 0) + 1
                unique = name if names[name] == 1 else f"{name[:-1]}-{names[name]}]"
                yield JobItem.from_parent(self, name=unique, callobj=_calling(bench, job), bench=bench, job=job)
        ref = self.config.getoption("spikebench_against_ref")
        if ref is not None:
            yield AgainstItem.from_parent(self, name=f"against-ref[{ref}]", ref=ref)

    def _folder(self, name: str) -> Path:
        kept = self.config.getoption("spikebench_results")
        if kept is not None:
            return Path(self.config.invocation_params.dir, kept, name)
        folder = Path(tempfile.mkdtemp(prefix="spikebench-"))
        self.config.stash[FOLDERS].append(folder)
        return folder / name


def _calling(bench: Bench, job: Job) -> Callable[[Any], None]:
    """The test function; pytest reads from its signature that it wants the fixture."""

    def measure(benchmark: Any) -> None:
        bench.measure(job, benchmark)

    return measure


class JobItem(pytest.Function):
    """One job."""

    def __init__(self, *, bench: Bench, job: Job, **others: Any) -> None:
        super().__init__(**others)
        self.job = job
        self.add_marker(pytest.mark.benchmark(group=job.harness.name, **({"timer": bench.replay} if is_timing(job) else {})))

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, self.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException]) -> Any:  # type: ignore[override]
        from spikebench.core.errors import SpikebenchError

        if isinstance(excinfo.value, SpikebenchError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)


class Replay:
    """A clock that runs by recorded durations: every second reading is one sample later than the one before it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.samples: Iterator[float] = iter(())
        self.running = False

    def __call__(self) -> float:
        if self.running:
            self.now += next(self.samples, 0.0)
        self.running = not self.running
        return self.now


@dataclasses.dataclass
class Bench:
    """Runs jobs of one suite into one folder, always anew, and hands what they found to the benchmark fixture."""

    suite: Suite
    folder: Path
    device: str
    replay: Replay = dataclasses.field(default_factory=Replay)

    def jobs(self, cell: Cell) -> Iterator[Job]:
        """The suite's jobs of a cell; a timing job over several batch sizes or backends becomes one job for each."""
        for job in self.suite.jobs(cell, self.device):
            yield from _one_by_one(job) if is_timing(job) else [job]

    def label(self, job: Job) -> str:
        """What tells this job's cell, and a timing job's one way, from the others of the suite."""
        plain = [cell.variant.meant() for cell in self.suite.cells]
        own = job.cell.variant.meant()
        parts = [str(own[name]) for name in own if len({str(other[name]) for other in plain if name in other}) > 1]
        if is_timing(job):
            parts += [
                str(value[0]) for value in job.harness.options.values() if isinstance(value, (list, tuple)) and len(value) == 1
            ]
        return "-".join([*parts, f"seed{job.cell.seed}"])

    def measure(self, job: Job, benchmark: Any) -> None:
        """Run the job; fails with its reason, is skipped where it cannot be run here."""
        self._open(job.cell)
        self._train_first(job)
        if is_timing(job):
            records = self._run(job)
            samples = timed(records)
            self.replay.samples = iter(samples)
            benchmark.pedantic(lambda: None, rounds=max(1, len(samples)), iterations=1)
        else:
            records = benchmark.pedantic(cache(lambda: self._run(job)), rounds=1, iterations=1)
        benchmark.extra_info.update(extra_info(job, records))

    def _run(self, job: Job) -> list[Record]:
        from spikebench.core import allocator, own_files
        from spikebench.running.jobs.events import JobEnded, Measured
        from spikebench.running.jobs.execute import execute

        allocator.keep()
        own_files.use(self.suite.own)
        records: list[Record] = []
        for event in execute(job, self.folder):
            if isinstance(event, Measured):
                records.append(event.record)
            elif isinstance(event, JobEnded) and event.failure:
                pytest.fail(event.failure, pytrace=False)
        failed = [record for record in records if record.status == "failed"]
        if failed:
            pytest.fail("; ".join(f"{record.metric}: {record.reason}" for record in failed), pytrace=False)
        if records and all(record.value is None for record in records):
            pytest.skip(records[0].reason)
        return records

    def _train_first(self, job: Job) -> None:
        """Where a measurement is run alone (``-k``), the training that it needs was not."""
        from spikebench.core.registry import REGISTRIES, is_stage
        from spikebench.running.jobs.subject import has_weights

        stages = [stage for stage in self.suite.jobs(job.cell, self.device) if is_stage(stage.harness.name)]
        if job in stages or not REGISTRIES["harnesses"].get(job.harness.name).needs_weights:
            return
        if stages and not has_weights(self.folder / "weights" / job.cell.cell_id):
            for stage in stages:
                self._run(stage)

    def _open(self, cell: Cell) -> None:
        import yaml

        from spikebench.core.store import ResultsFolder

        store = ResultsFolder(self.folder).create()
        store.put_facts("cells", cell.cell_id, cell.to_plain())
        if store.suite_text() is None:
            store.put_suite(yaml.safe_dump(dict(self.suite.data), sort_keys=False, allow_unicode=True))


def is_timing(job: Job) -> bool:
    from spikebench.core.registry import REGISTRIES

    return bool(REGISTRIES["harnesses"].get(job.harness.name).exclusive)


def timed(records: Sequence[Record]) -> list[float]:
    """The samples of the first record that is a time; its value where it kept none."""
    for record in records:
        if record.unit == "s" and record.value is not None and record.metric != "first_call":
            return [float(sample) for sample in record.samples or [record.value]]
    return []


def extra_info(job: Job, records: Sequence[Record]) -> dict[str, Any]:
    """Whole-network numbers by their selector, what has none with its reason, and the ids."""
    from spikebench.core.records import label
    from spikebench.core.source import source

    whole = [record for record in records if not record.scope]
    return {
        **{label(record): record.value for record in whole if record.value is not None},
        "without_value": {label(record): record.reason for record in whole if record.value is None},
        "units": {record.metric: record.unit for record in whole},
        "cell_id": job.cell.cell_id,
        "job_id": job.job_id,
        "machine_id": records[0].machine_id if records else "",
        "source": {name: source()[name] for name in ("source_id", "spikebench", "commit", "dirty")},
    }


def _one_by_one(job: Job) -> Iterator[Job]:
    from spikebench.core.cells import Job
    from spikebench.core.choice import Choice

    options = job.harness.resolve("harnesses")
    lists = {field.name: getattr(options, field.name) for field in dataclasses.fields(options)}
    lists = {name: values for name, values in lists.items() if isinstance(values, tuple) and len(values) > 1}
    for chosen in itertools.product(*lists.values()):
        single = {name: [value] for name, value in zip(lists, chosen, strict=True)}
        yield Job(job.cell, Choice(job.harness.name, {**job.harness.options, **single}), job.device)
