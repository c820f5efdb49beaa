"""What ``search --plan`` does: say what a search would try, train and cost. Starts nothing and writes nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from spikebench.core.cells import Cell
from spikebench.core.console import standard_output
from spikebench.core.errors import InputError
from spikebench.core.search import Search
from spikebench.core.search_space import Category, Parameter, Space, Values
from spikebench.core.suite import Suite
from spikebench.core.suite_reader import load
from spikebench.core.text import printable
from spikebench.reading.model.trials import load_trials
from spikebench.running.jobs.plan import Plan, PlannedJob, resolve_device
from spikebench.running.run.estimate import Estimate, estimate
from spikebench.running.run.limits import Limits
from spikebench.running.run.runner import bind
from spikebench.running.search.trial import RefusedError, Trials
from spikebench.running.verbs._aligned import aligned, width_of

MOST = 12
"""Trials that are built and timed."""
COUNTED = 100_000
"""Points of a space that are counted; of more it is said that there are more."""


def checked(path: Path, limits: Limits) -> Suite:
    """The suite of a search. Raises InputError, for one that searches nothing too."""
    from spikebench.running.jobs import rules

    suite = limits.of(load(path, rules))
    if suite.search is None:
        raise InputError(suite.document.problem((), "has no search: block; `spikebench run` trains its variants"))
    return suite


def show_search_plan(path: Path, results: Path, limits: Limits) -> None:
    """Print the space, what is looked for, and examples of trials with their cost. Raises InputError, StorageError."""
    suite = checked(path, limits)
    run = bind(suite, results / suite.name)
    trials = Trials(suite, resolve_device(suite.device))
    known = load_trials(run.store.path) if run.store.path.is_dir() else None
    done = 0 if known is None else known.count("complete") + known.count("pruned")
    side_by_side = 1 if trials.exclusive else run.workers
    console = standard_output()
    width = width_of(console)
    for line in _goals(suite, trials, done, side_by_side):
        console.print(printable(line), soft_wrap=True, highlight=False)
    _table(console, [("parameter", "values", "exists"), *map(_row, trials.search.space.parameters)], (), width)
    examples = _examples(trials)
    cells = {cell.cell_id: cell for _, cell in examples if isinstance(cell, Cell)}
    plan = Plan(tuple((cell, tuple(PlannedJob(job, False) for job in trials.jobs(cell))) for cell in cells.values()))
    guesses = estimate(plan, getattr(suite.launcher.resolve("launchers"), "threads", 0))
    rows = [("for example", "parameters", "training", ""), *_costs(examples, guesses)]
    _table(console, rows, ("parameters", "training"), width)
    console.print(_sum(guesses, max(0, trials.search.trials - done), side_by_side), soft_wrap=True, highlight=False)


def _goals(suite: Suite, trials: Trials, done: int, side_by_side: int) -> Iterator[str]:
    search = trials.search
    drawn = f"the {search.sampler} sampler, seed {search.seed}"
    yield f"{suite.name}: {search.trials} trials by {drawn}, {side_by_side} at a time; {done} are there"
    yield f"space: {_size(search.space)}"
    wanted = [f"{one} ({one.direction}{_where(one.quantity)})" for one in search.objectives]
    yield f"looks for: {', '.join(wanted)}"
    if search.constraints:
        yield f"within: {', '.join(map(str, search.constraints))}"
    stages = [] if suite.training is None else [f"trains {trials.epochs} epochs"]
    stages = [f"pre-trains {suite.pretraining.resolve('harnesses').epochs} epochs", *stages] if suite.pretraining else stages
    measured = " and ".join(str(choice) for choice in trials.measures)
    stages += [f"measures {measured}"] if measured else []
    ended = f"; the pruner {search.pruner} ends those early that fall behind" if search.prunes else ""
    yield f"each trial {' and '.join(stages) or 'builds its network'}, with seed {trials.seed}{ended}"
    tested = " and ".join(str(choice) for choice in suite.measure)
    yield f"afterwards the winners alone: {tested}"


def _where(quantity: Any) -> str:
    return ", validation split" if quantity.text != str(quantity.selector) else ""


def _size(space: Space) -> str:
    if any(parameter.finite() is None for parameter in space.parameters):
        return "infinitely many points"
    count = sum(1 for _ in itertools.islice(space.points(), COUNTED + 1))
    return f"more than {COUNTED:,} points" if count > COUNTED else f"{count:,} points"


def _row(parameter: Parameter) -> tuple[str, str, str]:
    """Of the table of the space."""
    if parameter.kind == "choice":
        values = ", ".join(map(str, parameter.labels))
    else:
        number = int if parameter.kind == "int" else float
        step = "" if parameter.step is None else f" in steps of {number(parameter.step):g}"
        values = f"{number(parameter.low):g} to {number(parameter.high):g}{step}{', logarithmic' if parameter.log else ''}"
    when = (f"{name} is {' or '.join(map(str, allowed))}" for name, allowed in parameter.when.items())
    return parameter.name, values, " and ".join(when) or "always"


def _examples(trials: Trials) -> list[tuple[Values, Cell | str]]:
    """What is tried first, then points at the ends of the ranges: each with its cell, or why there is none."""
    found: dict[str, tuple[Values, Cell | str]] = {}
    for values in itertools.chain(trials.first(), _ends(trials.search)):
        if len(found) == MOST:
            break
        try:
            cell: Cell | str = trials.cell(values)
        except RefusedError as error:
            cell = str(error)
        found.setdefault(str(sorted(values.items())), (values, cell))
    return list(found.values())


def _ends(search: Search) -> Iterator[Values]:
    """Every combination of names, with all numbers at their lower, then at their upper ends."""

    def extend(values: dict[str, Category], rest: Sequence[Parameter], end: int) -> Iterator[Values]:
        if not rest:
            yield values
        elif not rest[0].exists(values):
            yield from extend(values, rest[1:], end)
        else:
            for value in _at(rest[0], end):
                yield from extend({**values, rest[0].name: value}, rest[1:], end)

    parameters = search.space.parameters
    for lower, upper in zip(extend({}, parameters, 0), extend({}, parameters, -1), strict=False):
        yield from (lower, upper)


def _at(parameter: Parameter, end: int) -> Iterable[Category]:
    if parameter.kind != "choice":
        known = parameter.finite()
        return (known[end] if known is not None else (parameter.low, parameter.high)[end],)
    numbers = [value for value in parameter.labels if type(value) in (int, float)]
    return parameter.labels if len(numbers) < len(parameter.labels) else (sorted(numbers)[end],)


def _costs(examples: Iterable[tuple[Values, Cell | str]], guesses: Estimate) -> Iterator[tuple[str, str, str, str]]:
    for values, cell in examples:
        spelled = " ".join(f"{name}={value:.4g}" if type(value) is float else f"{name}={value}" for name, value in values.items())
        if isinstance(cell, str):
            yield spelled, "-", "-", cell
            continue
        guess = guesses.cells[cell.cell_id]
        yield spelled, "?" if guess.parameters is None else f"{guess.parameters:,}", guess.spell(), ""


def _sum(guesses: Estimate, left: int, side_by_side: int) -> str:
    if not left:
        return "no trial is left to do; the same command without --plan tests the winners, if they are not, and reports"
    seconds = [guess.seconds for guess in guesses.cells.values() if guess.seconds]
    if not seconds:
        return f"{left} trials to do, no training"
    low, high = (left * one / side_by_side / 60 for one in (min(seconds), max(seconds)))
    before = f" and {guesses.pretraining / len(guesses.cells) * left / side_by_side / 60:.1f} min of pre-training"
    span = f"about {low:.1f} min of training if all were as the cheapest of these, {high:.1f} min if as the dearest"
    return f"{left} trials to do: {span}{before if guesses.pretraining else ''}; measurements come on top"


def _table(console: Any, rows: Iterable[Sequence[str]], numbers: Sequence[str], width: int | None) -> None:
    rows = list(rows)
    head, *body = aligned(rows, [name in numbers for name in rows[0]], width)
    console.print(head, style="bold", soft_wrap=True)
    console.out("\n".join(map(printable, body)), highlight=False)
