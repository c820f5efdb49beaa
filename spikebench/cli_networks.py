"""The verbs about one given network, ``audit``, ``eval`` and ``export``, as the command line has them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from spikebench.cli_errors import guarded

FAILED_CHECK, FAILED_CELLS = 1, 4
QUIRKS = "Faults of the released code to reproduce: none, released, or a name"


@guarded
def audit(
    target: Annotated[
        str, typer.Argument(metavar="TARGET", help="A preset, a suite, a checkpoint with --layout, or FILE.py:FACTORY.")
    ],
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="CHECK", help="Only these checks; see `list checks`.")
    ] = None,
    fail: Annotated[
        list[str] | None, typer.Option("--fail", metavar="CHECK", help="Exit 1 if this check fails; all: if any does.")
    ] = None,
    dataset: Annotated[
        str, typer.Option("--dataset", help="Images of its test split, as in a suite; random ones if left out.")
    ] = "",
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a field, as in a suite.")] = None,
    layout: Annotated[str | None, typer.Option("--layout", help="Of a checkpoint: whose tensor names.")] = None,
    num_heads: Annotated[int | None, typer.Option("--num-heads", help="Of a checkpoint whose width was never published.")] = None,
    ema: Annotated[bool, typer.Option("--ema", help="Of a checkpoint that has both: the averaged weights.")] = False,
    quirks: Annotated[str, typer.Option("--quirks", help=f"Of a checkpoint. {QUIRKS}.")] = "none",
    samples: Annotated[int, typer.Option("--samples", help="How many images.")] = 4,
    results: Annotated[Path, typer.Option("--results", metavar="DIR", help="Where a suite's trained weights are.")] = Path(
        "results"
    ),
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the findings as JSON.")] = None,
) -> None:
    """Does a network do what its paper says? Twelve checks, each with the first layer where a fault shows."""
    from spikebench.running.verbs.audit import Asked, audit_target

    weights = None if layout is None else {"layout": layout, "num_heads": num_heads, "ema": ema, "quirks": quirks}
    asked = Asked(only or (), fail or (), dataset, set_ or (), weights, samples, results, json)
    if audit_target(target, asked):
        raise typer.Exit(FAILED_CHECK)


@guarded
def eval_(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT", help="A .pth, .pth.tar or .safetensors file.")],
    layout: Annotated[str, typer.Option("--layout", help="Whose tensor names: spikformer-cifar, spikingformer-cifar, ...")],
    dataset: Annotated[str, typer.Option("--dataset", help="As in a suite: digits, or {cifar10: {root: data}}.")],
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a field, as in a suite.")] = None,
    measure: Annotated[list[str] | None, typer.Option("--measure", help="Harnesses; accuracy and activity by default.")] = None,
    num_heads: Annotated[int | None, typer.Option("--num-heads", help="Where the width was never published.")] = None,
    ema: Annotated[bool, typer.Option("--ema", help="The averaged weights of a checkpoint that has both.")] = False,
    quirks: Annotated[str | None, typer.Option("--quirks", help=f"{QUIRKS}; both none and released if left out.")] = None,
    results: Annotated[Path, typer.Option("--results", metavar="DIR", help="Results go to DIR/<suite>/.")] = Path("results"),
    fresh: Annotated[bool, typer.Option("--fresh", help="Measure again what is there already.")] = False,
) -> None:
    """Measure somebody else's checkpoint without training it."""
    from spikebench.running.verbs.eval import evaluate

    weights = {"layout": layout, "ema": ema, **({"num_heads": num_heads} if num_heads else {})}
    weights |= {"quirks": quirks} if quirks else {}
    if evaluate(checkpoint, weights, dataset, set_ or [], measure or ["accuracy", "activity"], results, fresh):
        raise typer.Exit(FAILED_CELLS)


@guarded
def export(
    results: Annotated[Path, typer.Argument(metavar="RESULTS", help="A results folder.")],
    format_: Annotated[str, typer.Option("--format", "-f", help="safetensors, hf, nir, onnx or sana-fe.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the files go; made if it is not there.")],
    group: Annotated[
        str | None,
        typer.Option("--group", help="The row: factors (stem=sps,attention=ssa) or a group id; the baseline's if left out."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Which of its trainings; the first if left out.")] = None,
) -> None:
    """Hand a trained network on: weights with a card, or the part of it that another format has words for."""
    from spikebench.running.verbs.export import export as write

    for path in write(results, group, seed, format_, out):
        print(path)
