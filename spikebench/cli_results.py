"""The verbs about results that are there, ``baseline``, ``compare`` and ``explain``, as the command line has them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikebench.cli_errors import guarded
from spikebench.cli_output import print_document

baseline = typer.Typer(name="baseline", help="Keep results as the reference that `check` compares with.", no_args_is_help=True)
RootOption = Annotated[Path, typer.Option("--root", metavar="DIR", help="Where baselines are kept: DIR/<suite>/.")]
ResultsPath = Annotated[Path, typer.Argument(metavar="RESULTS", help="A results folder.")]
ROOT = Path("results/reference")


@baseline.command("update")
@guarded
def baseline_update(results: ResultsPath, root: RootOption = ROOT) -> None:
    """Make RESULTS the baseline of its suite, sorted and rounded so that a reviewer can read the diff."""
    from spikebench.reading.gate.baseline import update

    print(update(results, root))


@baseline.command("show")
@guarded
def baseline_show(suite: Annotated[str, typer.Argument(metavar="NAME", help="A suite's name.")], root: RootOption = ROOT) -> None:
    """Print the baseline of a suite."""
    from spikebench.reading.gate.baseline import show as document

    print_document(document(suite, root))


@baseline.command("diff")
@guarded
def baseline_diff(results: ResultsPath, root: RootOption = ROOT) -> None:
    """Say what `update` would change. Exit codes as of `check`."""
    from spikebench.reading.gate.baseline import diff

    gate = diff(results, root)
    print_document(gate.document())
    raise typer.Exit(gate.exit_code)


@guarded
def compare(
    old: Annotated[Path, typer.Argument(metavar="A", help="A results folder.")],
    new: Annotated[Path, typer.Argument(metavar="B", help="Another one of the same suite.")],
) -> None:
    """Compare two results folders: every difference with its interval, then what the gate would say. Measures nothing."""
    from spikebench.reading.gate.check import check as judge
    from spikebench.reading.gate.check import shared_groups
    from spikebench.reading.gate.differences import compare as differences
    from spikebench.reading.model.frame import load_results

    frames = load_results(old), load_results(new)
    shared_groups(*frames)
    print_document(differences(*frames))
    gate = judge(*frames)
    print_document(gate.document())
    raise typer.Exit(gate.exit_code)


@guarded
def explain(
    results: ResultsPath,
    metric: Annotated[str, typer.Option("--metric", help="A metric or selector.")] = "energy",
    group: Annotated[
        str | None,
        typer.Option("--group", help="The row: factors (stem=sps,attention=ssa) or a group id; the baseline's if left out."),
    ] = None,
) -> None:
    """Say where a number comes from: by stage, layer and kind, the formula with the numbers put in, and other conventions."""
    from spikebench.reading.model.frame import load_results
    from spikebench.reading.reports.explain import explain as document

    print_document(document(load_results(results), metric, group))
