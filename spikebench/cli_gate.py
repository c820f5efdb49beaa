"""The verbs ``check`` and ``history`` as the command line has them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikebench.cli_errors import guarded
from spikebench.cli_output import print_document

PANEL = "Pairs of one session"
REGRESSION = 1


@guarded
def check(
    suite: Annotated[Path, typer.Argument(metavar="SUITE", help="A suite file (YAML).")],
    against: Annotated[Path | None, typer.Option("--against", metavar="RESULTS", help="The baseline: a results folder.")] = None,
    against_ref: Annotated[
        str | None,
        typer.Option(
            "--against-ref", metavar="REF", help="A commit, branch or tag, measured here and now.", rich_help_panel=PANEL
        ),
    ] = None,
    against_python: Annotated[
        Path | None,
        typer.Option("--against-python", metavar="PYTHON", help="Another environment's interpreter.", rich_help_panel=PANEL),
    ] = None,
    against_dir: Annotated[
        Path | None,
        typer.Option("--against-dir", metavar="DIR", help="Another checkout of this project.", rich_help_panel=PANEL),
    ] = None,
    calibrate: Annotated[
        bool,
        typer.Option("--calibrate", help="Record this machine's noise and say what can be held.", rich_help_panel=PANEL),
    ] = False,
    max_time: Annotated[
        str | None,
        typer.Option("--max-time", metavar="TIME", help="Of pairs or of a calibration: 45 min.", rich_help_panel=PANEL),
    ] = None,
    window: Annotated[
        float, typer.Option("--window", metavar="SECONDS", help="Each process measures a job for so long.", rich_help_panel=PANEL)
    ] = 0.5,
    calibrations: Annotated[
        Path, typer.Option("--calibrations", metavar="DIR", help="Where calibrations are kept.", rich_help_panel=PANEL)
    ] = Path("results/calibration"),
    alone: Annotated[
        bool, typer.Option("--alone", help="Processes one after another, if memory holds one.", rich_help_panel=PANEL)
    ] = False,
    markdown: Annotated[Path | None, typer.Option("--markdown", metavar="FILE", help="Write the verdicts as Markdown.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write the verdicts as JUnit XML.")] = None,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the verdicts as JSON.")] = None,
    github: Annotated[bool, typer.Option("--github", help="Print annotations for GitHub Actions.")] = False,
) -> None:
    """Measure SUITE anew and compare, with kept results or with other code in pairs: exit 0 pass, 1 regression, 3 cannot tell."""
    from spikebench.core.errors import InputError
    from spikebench.running.pairs.against import Other
    from spikebench.running.verbs.check import check_suite, outputs
    from spikebench.running.verbs.check_pairs import Effort, check_against, seconds_of

    others = [against_ref, against_python, against_dir]
    asked = sum(each is not None for each in (against, *others)) + calibrate
    if asked != 1:
        names = "--against RESULTS, --against-ref REF, --against-python PYTHON, --against-dir DIR or --calibrate"
        raise InputError(f"compare with {'what' if not asked else 'one thing'}? Give one of {names}")
    effort = Effort(seconds_of(max_time), window, calibrations, alone)
    if calibrate:
        from spikebench.running.verbs.calibrate import calibrate as record

        print_document(record(suite, effort))
        return
    if against is not None:
        gate = check_suite(suite, against)
    else:
        gate = check_against(suite, Other(against_ref, against_python, against_dir), effort)
    print_document(gate.document())
    for line in outputs(gate, markdown, junit, json, github):
        print(line)
    raise typer.Exit(gate.exit_code)


@guarded
def history(
    folders: Annotated[
        list[Path],
        typer.Argument(metavar="FOLDER...", help="Results folders, oldest first; BMF and github-action-benchmark files too."),
    ],
    git: Annotated[bool, typer.Option("--git", help="One FOLDER as every commit of its repository has it.")] = False,
    confirm: Annotated[
        str | None, typer.Option("--confirm", metavar="COMMIT", help="What changed there is known, and stays quiet from now on.")
    ] = None,
    formats: Annotated[list[str] | None, typer.Option("--format", "-f", help="terminal, html, json; several times.")] = None,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where files go.")] = Path("results/history"),
    store: Annotated[
        Path, typer.Option("--store", metavar="DIR", help="Where summaries of commits and what is confirmed are kept.")
    ] = Path("results/history"),
) -> None:
    """Show how each number went over many commits, and the commits that changed it: exit 1 if one got worse unconfirmed."""
    from spikebench.running.verbs.history import read, write

    found, folder = read(folders, git, store)
    if confirm is not None:
        for change in found.confirm(confirm, folder):
            print(f"confirmed: {change.row.variant} {change.row.address} at {change.commit.short}")
        return
    for path in write(found, formats or ["terminal"], out):
        print(path)
    raise typer.Exit(REGRESSION if found.news else 0)
