"""What ``run --plan`` does: say what a run would do, and how long it may take. Writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from spikebench.core.cells import Cell
from spikebench.core.console import standard_output
from spikebench.core.text import printable
from spikebench.core.variant import VariantSpec
from spikebench.running.jobs.plan import PlannedJob
from spikebench.running.launchers._apart import beside
from spikebench.running.run.estimate import Estimate, estimate
from spikebench.running.run.runner import Run, open_run
from spikebench.running.verbs._aligned import aligned, width_of

HEADS = ("cell", "variant", "seed", "parameters", "to do", "cached", "about")
NUMBERS = ("seed", "parameters", "about")


def show_plan(path: Path, results: Path, fresh: bool) -> None:
    """Print every cell with its jobs. Raises InputError, StorageError."""
    with beside() as there:
        run = open_run(path, results, fresh, planned=there)
        guesses = estimate(run.plan, getattr(run.suite.launcher.resolve("launchers"), "threads", 0), call=there)
    console = standard_output()
    console.print(f"{run.suite.name}: {len(run.plan.cells)} cells, {len(list(run.plan.jobs))} jobs", style="italic")
    head, *body = aligned([HEADS, *_rows(run, guesses)], [name in NUMBERS for name in HEADS], width_of(console))
    console.print(head, style="bold", soft_wrap=True)
    console.out("\n".join(map(printable, body)), highlight=False)
    console.print(f"{len(run.plan.pending)} jobs to do, {_training(guesses, run.workers)}; measurements come on top")


def _rows(run: Run, guesses: Estimate) -> Iterable[Sequence[str]]:
    fields = differing(cell for cell, _ in run.plan.cells)
    for cell, jobs in run.plan.cells:
        guess = guesses.cells[cell.cell_id]
        yield (
            cell.cell_id[:8],
            label(cell, fields),
            str(cell.seed),
            "?" if guess.parameters is None else f"{guess.parameters:,}",
            _harnesses(planned for planned in jobs if not planned.done),
            _harnesses(planned for planned in jobs if planned.done),
            guess.spell(),
        )


def _training(guesses: Estimate, side_by_side: int) -> str:
    before, after = (seconds / max(1, side_by_side) / 60 for seconds in (guesses.pretraining, guesses.seconds))
    if not before + after:
        return "no training"
    what = [f"about {before:.1f} min of pre-training"] * bool(before) + [f"about {after:.1f} min of training"] * bool(after)
    reached = "each variant" if guesses.timed == guesses.variants else f"{guesses.timed:,} of {guesses.variants:,} variants"
    return f"{' and '.join(what)}, by one or two steps of {reached} timed here"


def _harnesses(jobs: Iterable[PlannedJob]) -> str:
    counted = Counter(planned.job.harness.name for planned in jobs)
    return " ".join(name if count == 1 else f"{name}×{count}" for name, count in counted.items()) or "-"


def differing(cells: Iterable[Cell]) -> list[str]:
    """The fields that are not the same in the variants of all of them."""
    plain = {id(cell.meant): cell.meant for cell in cells}.values()  # which seeds share
    values = {name: {str(fields[name]) for fields in plain if name in fields} for name in VariantSpec.__dataclass_fields__}
    return [name for name, found in values.items() if len(found) > 1]


def label(cell: Cell, fields: Sequence[str]) -> str:
    """A cell by the fields in which its variant differs from others; by its size where it differs in none."""
    variant = cell.variant
    named = " ".join(f"{name}={getattr(variant, name)}" for name in fields if name in cell.meant)
    return named or f"{variant.depth}-{variant.dim}"
