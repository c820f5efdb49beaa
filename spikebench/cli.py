"""The command ``spikebench``: every verb parses, calls one function, and turns exceptions into exit codes.

0 pass, 1 regression, 2 unusable input, 3 inconclusive, 4 some cells failed, 5 not comparable, 70 a fault of
spikebench itself, 130 interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikebench.cli_errors import guarded
from spikebench.cli_gate import check, history
from spikebench.cli_networks import audit, eval_, export
from spikebench.cli_results import baseline, compare, explain

app = typer.Typer(
    name="spikebench",
    help="Train a grid of Spikformer variants, measure what they cost and achieve, and gate CI on it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

FAILED_CELLS = 4

SuitePath = Annotated[Path, typer.Argument(metavar="SUITE", help="A suite file (YAML).")]
JobTimeoutOption = Annotated[
    str | None,
    typer.Option("--job-timeout", metavar="TIME", help="End a job that takes longer than 2 h; the suite's own if left out."),
]
AddressOption = Annotated[
    str | None, typer.Option("--address", metavar="HOST:PORT", help="Do the jobs on this Ray cluster, whatever SUITE's launcher.")
]
StallOption = Annotated[
    str | None,
    typer.Option("--stall", metavar="TIME", help="End a job that records nothing for 15 min; the suite's own if left out."),
]
ResultsOption = Annotated[Path, typer.Option("--results", metavar="DIR", help="Results go to DIR/<suite>/.")]
LauncherOption = Annotated[
    str | None,
    typer.Option("--launcher", metavar="LAUNCHER", help="In place of the suite's: '{slurm: {partition: gpu}}'."),
]


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.", is_eager=True)] = False,
) -> None:
    if version:
        from spikebench import __version__

        print(f"spikebench {__version__}")
        raise typer.Exit


@app.command()
@guarded
def run(
    suite: SuitePath,
    results: ResultsOption = Path("results"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what is there already.")] = False,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show cells, jobs, what is cached and an estimate of time; do nothing.")
    ] = False,
    max_time: Annotated[
        str | None,
        typer.Option("--max-time", metavar="TIME", help="Stop after 45 min or 8 h; the same command goes on from there."),
    ] = None,
    max_weights: Annotated[
        str | None,
        typer.Option("--max-weights", metavar="SIZE", help="Keep at most 20 GiB of weights; finished networks' go first."),
    ] = None,
    job_timeout: JobTimeoutOption = None,
    stall: StallOption = None,
    address: AddressOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but failures, and the table.")] = False,
    json_log: Annotated[
        Path | None, typer.Option("--json-log", metavar="FILE", help="Add every event to FILE as JSON; - is standard error.")
    ] = None,
    launcher: LauncherOption = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Leave when the jobs are queued (slurm); the same command collects them later.")
    ] = False,
) -> None:
    """Train and measure all that SUITE asks for and does not have yet, and print the table."""
    from spikebench.running.verbs.plan import show_plan
    from spikebench.running.verbs.run import run_suite

    if plan:
        show_plan(suite, results, fresh)
    elif run_suite(
        suite, results, fresh, max_time, job_timeout, stall, max_weights, address, quiet, json_log, launcher, not no_wait
    ):
        raise typer.Exit(FAILED_CELLS)


@app.command()
@guarded
def search(
    suite: SuitePath,
    results: ResultsOption = Path("results"),
    job_timeout: JobTimeoutOption = None,
    stall: StallOption = None,
    address: AddressOption = None,
    storage: Annotated[
        str | None,
        typer.Option("--storage", metavar="URL", help="postgresql://...: a study that several drivers share."),
    ] = None,
    launcher: LauncherOption = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="Show the space, what a trial trains and an estimate of time; do nothing.")
    ] = False,
) -> None:
    """Look for the best variants in SUITE's search space, or take up a search where it was; test the winners once."""
    from spikebench.running.run.limits import Limits
    from spikebench.running.verbs.search import run_search
    from spikebench.running.verbs.search_plan import show_search_plan

    if plan:
        show_search_plan(suite, results, Limits.parse(address, launcher, job_timeout=job_timeout, stall=stall))
    elif run_search(suite, results, job_timeout, stall, address, storage, launcher):
        raise typer.Exit(FAILED_CELLS)


@app.command()
@guarded
def status(folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A results folder.")]) -> None:
    """Say how far FOLDER is: done, failed, who works there since when, and about how long it takes."""
    from spikebench.running.verbs.status import show_status

    show_status(folder)


@app.command()
@guarded
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Results folders; several are pooled.")],
    formats: Annotated[
        list[str] | None, typer.Option("--format", "-f", help="terminal, markdown, csv, latex, html, bmf, ...; several times.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where files go; FOLDER/report by default.")] = None,
    sections: Annotated[list[str] | None, typer.Option("--section", help="Only these sections.")] = None,
    export: Annotated[
        Path | None, typer.Option("--export", metavar="FILE", help="All records in a .parquet or .csv file.")
    ] = None,
) -> None:
    """Make tables and plots from results. Measures nothing."""
    from spikebench.reading.reports.report import make

    if export is not None:
        from spikebench.reading.model.export import export as write
        from spikebench.reading.model.frame import load_results

        print(write(load_results(*folders), export))
        if not (formats or sections or out):
            return
    for path in make(folders, formats=formats, out=out, sections=sections):
        print(path)


@app.command("list")
@guarded
def list_(
    kind: Annotated[
        str | None,
        typer.Argument(help="stems, attentions, presets, harnesses, layouts, metrics, selectors ...; all if left out."),
    ] = None,
    name: Annotated[str | None, typer.Argument(help="One of them: its options with defaults, and its source.")] = None,
) -> None:
    """List what suites can name, or one of it with its options."""
    from spikebench.running.verbs.list import print_lists

    print_lists(kind, name)


@app.command()
@guarded
def init(
    about: Annotated[
        list[str] | None, typer.Argument(metavar="[FOLDER] [PRESET]", help="A folder of images, a preset, both.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the suite goes.")] = Path("suite.yaml"),
) -> None:
    """Write a suite, with a word on each key, that runs as it is: about your images, a preset, or the bundled digits."""
    from spikebench.running.verbs.init import write_suite

    print(write_suite(about or [], out))


@app.command()
@guarded
def guide(
    topic: Annotated[
        str | None, typer.Argument(metavar="[TOPIC]", help="first, data, network, suite, ...; their list if left out.")
    ] = None,
) -> None:
    """Print a topic of the guide: from the first ablation to your own data, network and checkpoint."""
    from spikebench.running.verbs.guide import print_topic

    print_topic(topic)


@app.command()
@guarded
def show(
    variant: Annotated[str | None, typer.Argument(help="A preset, or my_file.py:make for a network of your own.")] = None,
    dataset: Annotated[str, typer.Option("--dataset", help="Data set that gives image size, channels and classes.")] = "auto",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a field, as in a suite.")] = None,
    cross_check: Annotated[bool, typer.Option("--cross-check", help="Dense MACs by fvcore and torch beside ours.")] = False,
    recipe: Annotated[
        str | None, typer.Option("--recipe", metavar="NAME", help="A paper's training instead of a network.")
    ] = None,
) -> None:
    """Show a network layer by layer, or a recipe field by field. Trains nothing."""
    from spikebench.core.errors import InputError
    from spikebench.running.verbs.show import show_variant
    from spikebench.running.verbs.show_recipe import show_recipe

    if (variant is None) == (recipe is None):
        raise InputError("show what? A preset (`spikebench list presets`), or --recipe NAME (`spikebench list recipes`)")
    if recipe is not None:
        show_recipe(recipe, set_ or [])
    elif variant is not None:
        show_variant(variant, dataset, set_ or [], cross_check)


app.command()(audit)


@app.command()
@guarded
def schema() -> None:
    """Print the JSON Schema of suite files, for editors."""
    import json

    from spikebench.core.schema import suite_schema

    print(json.dumps(suite_schema(), indent=2))


@app.command()
@guarded
def doctor(
    gpu_selftest: Annotated[
        bool, typer.Option("--gpu-selftest", help="Run every path that needs a GPU once; exit code 1 if one is broken.")
    ] = False,
) -> None:
    """Say what this machine can do, and why not more."""
    if gpu_selftest:
        from spikebench.running.verbs.gpu_selftest import examine as test

        if test():
            raise typer.Exit(1)
        return
    from spikebench.running.verbs.doctor import examine

    examine()


app.command()(check)
app.command()(history)
app.add_typer(baseline)
app.command()(compare)
app.command()(explain)
app.command()(export)
app.command("eval")(eval_)
