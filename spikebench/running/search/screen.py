"""How far a search is, what its trials found, and the best so far."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

from spikebench.core.search import Search
from spikebench.reading.model.display import display_for
from spikebench.reading.model.trials import dominates
from spikebench.running.jobs.events import Event
from spikebench.running.search.outcome import Outcome


class Best:
    """The front so far, of outcomes as they come."""

    def __init__(self, search: Search) -> None:
        self.search = search
        self.front: list[tuple[float, ...]] = []

    def note(self, values: tuple[float, ...], feasible: bool) -> bool:
        """Whether this one is on the front now."""
        if not feasible or not values:
            return False
        costs = self._costs(values)
        if any(dominates(self._costs(other), costs) or other == values for other in self.front):
            return False
        self.front = [other for other in self.front if not dominates(costs, self._costs(other))] + [values]
        return True

    def spell(self) -> str:
        """With one objective its best value; with several the front's size, and each objective's best."""
        if not self.front:
            return "none keeps the limits yet"
        found = []
        for index, objective in enumerate(self.search.objectives):
            values = [row[index] for row in self.front]
            found.append(spell_value(self.search, index, min(values, key=lambda value: objective.sign * value)))
        best = ", ".join(found)
        return f"best {best}" if len(self.search.objectives) == 1 else f"front of {len(self.front)}, best {best}"

    def _costs(self, values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(objective.sign * value for objective, value in zip(self.search.objectives, values, strict=True))


def spell_value(search: Search, index: int, value: float) -> str:
    """``accuracy 97.80 %``"""
    objective = search.objectives[index]
    shown = display_for(objective.quantity.metric, [value])
    return f"{objective.quantity.text.split('{')[0]} {shown.number(value)} {shown.unit}".rstrip()


class Screen:
    """A progress bar with the best so far; on a console that is no terminal, a line a trial. ``note`` is for a Searcher."""

    def __init__(self, search: Search, done: int, console: Any) -> None:
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        self.search = search
        self.console = console
        self.best = Best(search)
        columns = (
            SpinnerColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f} trials", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
        )
        self.progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self.task = self.progress.add_task(self.best.spell(), total=search.trials, completed=done)
        self.refused = 0

    def run(self, events: Generator[Event]) -> None:
        """Take the events to their end, or close them."""
        with self.progress, contextlib.closing(events):
            for _ in events:
                pass

    def note(self, outcome: Outcome) -> None:
        on_front = self.best.note(outcome.values, outcome.feasible)
        if outcome.state == "refused":
            self.refused += 1
        else:
            self.progress.advance(self.task)
        self.progress.update(self.task, description=self.best.spell())
        if outcome.state == "failed":
            from rich.text import Text

            self._print(Text.assemble((f"trial {outcome.number} failed", "red"), f": {outcome.reason}"))
        elif not self.console.is_terminal:
            self._print(self._line(outcome, on_front))

    def _line(self, outcome: Outcome, on_front: bool) -> str:
        parts = [f"trial {outcome.number}"]
        if outcome.state == "complete":
            parts.append(", ".join(spell_value(self.search, index, value) for index, value in enumerate(outcome.values)))
            best = "best so far" if len(self.search.objectives) == 1 else "on the front"
            parts.append("breaks a limit" if not outcome.feasible else (best if on_front else ""))
        else:
            parts += [outcome.state, outcome.reason]
        parts.append("cached" if outcome.cached else (f"{outcome.seconds:.1f} s" if outcome.seconds else ""))
        return "; ".join(filter(None, parts)).replace("; ", ": ", 1)

    def _print(self, text: Any) -> None:
        self.console.print(text, soft_wrap=True)
