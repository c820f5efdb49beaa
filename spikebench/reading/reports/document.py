"""What a report says, apart from how it is written: headings, text, tables with typed cells, figures, verdicts.

Cells keep numbers in the unit that records are stored in; the column says how they are shown, so that a CSV keeps full precision
while a table stays readable.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from spikebench.core.text import printable
from spikebench.reading.model.display import Display

Outcome = Literal["pass", "fail", "inconclusive", "skipped"]


BEST = "best, with all that cannot be told from it"
"""What the mark of a ``best`` number means, where a format explains it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Heading:
    text: str
    level: int = 2


@dataclasses.dataclass(frozen=True, slots=True)
class Text:
    """A paragraph; ``kind`` warning is set apart; question and answer are what a reader came for."""

    text: str
    kind: Literal["plain", "warning", "question", "answer"] = "plain"


@dataclasses.dataclass(frozen=True, slots=True)
class Code:
    """A file to copy, as it stands."""

    text: str
    language: str
    name: str


@dataclasses.dataclass(frozen=True, slots=True)
class Label:
    """Words in a table. ``notes``: indices into the table's footnotes, here and in the other cells."""

    text: str
    notes: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Number:
    """A number in stored units, with the half width of its interval and the number of values behind it, where there are any.
    ``bounds``: the interval itself, of a column in which some number is not in the middle of its own (``intervals.alike``)."""

    value: float
    half_width: float | None = None
    n: int | None = None
    best: bool = False
    notes: tuple[int, ...] = ()
    bounds: tuple[float, float] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Absent:
    """No number; a footnote says why. Never shown as 0."""

    notes: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Verdict:
    """Of a gate: the outcome, the sentence that explains it, and the words to show where the outcome alone would mislead."""

    outcome: Outcome
    message: str = ""
    words: str = ""


Cell = Label | Number | Absent | Verdict


@dataclasses.dataclass(frozen=True, slots=True)
class Column:
    """``key``: a plain name for exports (``accuracy``); ``heading``: what people read."""

    key: str
    heading: str
    display: Display = Display()
    notes: tuple[int, ...] = ()
    numeric: bool = True

    @property
    def title(self) -> str:
        return f"{self.heading} [{self.display.unit}]" if self.display.unit else self.heading


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    cells: tuple[Cell, ...]
    marked: bool = False
    """Set apart from the others: the baseline."""


@dataclasses.dataclass(frozen=True, slots=True)
class Table:
    """``labels``: how many of the first columns name the row; they are repeated where a table is cut to fit.

    Raises ValueError for a row that has not one cell for each column.
    """

    key: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    footnotes: tuple[str, ...] = ()
    labels: int = 1

    def __post_init__(self) -> None:
        if any(len(row.cells) != len(self.columns) for row in self.rows):
            raise ValueError(f"table {self.key}: every row needs {len(self.columns)} cells")


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """Places in the figure's keys: the colour, the shape of marks or style of lines, and the panel of a series."""

    colour: int = 0
    shape: int = 0
    panel: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """What one channel of a plot tells: a factor and its values, in the order of a ``Look``'s places."""

    channel: Literal["colour", "shape", "panel"]
    title: str
    values: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Series:
    """Points of one line or one group of marks. ``spread``, ``x_spread``: the ends of each point's intervals. ``look``: of a
    figure with keys; else the series has a colour and shape of its own and its name in the legend.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    spread: tuple[tuple[float, float], ...] | None = None
    text: tuple[str, ...] | None = None
    x_spread: tuple[tuple[float, float], ...] | None = None
    look: Look | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Figure:
    """A plot, said in data. ``data`` is the same as a table: what a format without pictures writes instead.

    ``lines``, ``points`` (a step line where a series is called "front" or "best so far") and ``bars`` (x is the position,
    ``ticks`` the words below it) use ``series``; ``heatmap`` uses ``grid`` (rows x columns, None where there is no value) with
    ``ticks`` for its columns and ``row_names``. ``images``: ``grid`` has pixels from black (0) to white (1), in as many bands of
    rows as there are ``row_names``.
    """

    key: str
    caption: str
    kind: Literal["lines", "points", "bars", "heatmap", "images"]
    x_label: str
    y_label: str
    data: Table
    series: tuple[Series, ...] = ()
    ticks: tuple[str, ...] = ()
    row_names: tuple[str, ...] = ()
    grid: tuple[tuple[float | None, ...], ...] = ()
    log_x: bool = False
    y_top: float | None = None
    """Nothing can be above this: no axis beyond 100 %."""
    keys: tuple[Key, ...] = ()
    """What colours, shapes and panels stand for, where the series are too many to be named."""


Block = Heading | Text | Code | Table | Figure


@dataclasses.dataclass(frozen=True)
class Document:
    title: str
    blocks: tuple[Block, ...]
    facts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Small print: where the numbers come from."""

    def __post_init__(self) -> None:
        """Names and reasons come from suites, plugins and files of others: no format need fear what a terminal would obey."""
        object.__setattr__(self, "title", printable(self.title))
        object.__setattr__(self, "blocks", _printable(self.blocks))
        object.__setattr__(self, "facts", {printable(name): printable(value) for name, value in self.facts.items()})

    def tables(self) -> Iterable[Table]:
        """Every table, those of figures too."""
        for block in self.blocks:
            if isinstance(block, Table):
                yield block
            elif isinstance(block, Figure):
                yield block.data


def _printable(part: Any) -> Any:
    """The same part of a document with every word of it printable; itself where they are, which is nearly always."""
    if isinstance(part, str):
        return part if part.isprintable() else printable(part)
    if isinstance(part, tuple):
        found = tuple(map(_printable, part))
        return part if all(new is old for new, old in zip(found, part, strict=True)) else found
    if not dataclasses.is_dataclass(part) or isinstance(part, type):
        return part
    changed = {}
    for field in dataclasses.fields(part):
        old = getattr(part, field.name)
        new = _printable(old)
        if new is not old:
            changed[field.name] = new
    return dataclasses.replace(part, **changed) if changed else part


class Footnotes:
    """Collects the footnotes of one table; the same text is one footnote."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def mark(self, *texts: str) -> tuple[int, ...]:
        """The indices of these texts; empty ones are left out."""
        found = []
        for text in filter(None, texts):
            if text not in self.texts:
                self.texts.append(text)
            found.append(self.texts.index(text))
        return tuple(found)


def mark(index: int) -> str:
    """How a footnote is called: a, b, ..., z, aa, ab."""
    letters = ""
    index += 1
    while index:
        index, digit = divmod(index - 1, 26)
        letters = chr(ord("a") + digit) + letters
    return letters


def texts(cells: Iterable[Cell], columns: Sequence[Column]) -> list[str]:
    """The cells of a row as plain words, without footnote marks."""
    return [plain_text(cell, column) for cell, column in zip(cells, columns, strict=True)]


def plain_text(cell: Cell, column: Column) -> str:
    match cell:
        case Number():
            return number_text(cell, column)
        case Label(text=text):
            return text
        case Absent():
            return "–"
        case Verdict():
            return cell.words or cell.outcome


def number_text(cell: Number, column: Column) -> str:
    """``98.1 ± 0.3``; ``−10.1 (−51.0 to +64.7)`` where the interval has its own ends."""
    if cell.bounds is None:
        return column.display.text(cell.value, cell.half_width)
    low, high = map(column.display.number, cell.bounds)
    return f"{column.display.number(cell.value)} ({low} to {high})"


def notes_of(cell: Cell) -> tuple[int, ...]:
    return () if isinstance(cell, Verdict) else cell.notes
