"""Exactly what was run: data, recipe, seeds, dates, machines, source, the command, and the suite itself to copy."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from spikebench.core.errors import StorageError
from spikebench.core.store import ResultsFolder
from spikebench.reading.model import provenance
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.trials import FILE as STUDY
from spikebench.reading.reports.document import Block, Code, Column, Label, Row, Table

MOST = 20
"""Seeds that are named."""


class Section:
    """A table of facts for an appendix, and the suite file as it was resolved."""

    order = 95
    title = "Exactly what was run"
    trials = True

    def __call__(self, frame: Frame) -> Sequence[Block]:
        if not frame.cells:
            return []
        rows = [Row((Label(name), Label(value))) for name, value in facts(frame) if value]
        heads = (Column("fact", "what", numeric=False), Column("value", "as it was", numeric=False))
        found: list[Block] = [Table("provenance", "", heads, tuple(rows))]
        for folder in frame.folders[:1]:
            text = suite_text(folder)
            if text:
                found.append(Code(text, "yaml", "suite.yaml"))
        return found


def facts(frame: Frame) -> list[tuple[str, str]]:
    """(what, as it was); empty where the folder does not say."""
    found = [("data", "; ".join(provenance.datasets(frame)))]
    for part in ("training", "pretraining"):
        recipe, name = provenance.recipe(frame, part), part.replace("pretraining", "pre-training")
        for given, title in ((True, name), (False, f"{name}, at its defaults")):
            found.append((title, "; ".join(f"{fact.name} {fact.text}" for fact in recipe if fact.given is given)))
    found.append(("precision of training", ", ".join(provenance.precisions(frame))))
    seeds = provenance.seeds(frame)
    more = f" and {len(seeds) - MOST} more" if len(seeds) > MOST else ""
    found.append(("seeds", ", ".join(map(str, seeds[:MOST])) + more))
    for folder in frame.folders:
        sessions = provenance.sessions(folder)
        if sessions:
            known = [session.seconds for session in sessions]
            ended = [seconds for seconds in known if seconds is not None]
            which = "in all" if len(ended) == len(known) else f"in the {len(ended)} that ended"
            took = f"; {_duration(sum(ended))} {which}" if ended else ""
            more = f"; {len(sessions)} commands, the last one {_moment(sessions[-1].began)}" if len(sessions) > 1 else ""
            found.append(("date", f"{_moment(sessions[0].began)}{more}{took}"))
    found.append(("machines", "; ".join(provenance.machines(frame))))
    found.append(("source", "; ".join(provenance.sources(frame))))
    verb = "search" if any((folder / STUDY).is_file() for folder in frame.folders) else "run"
    found.append(("to repeat it", f"spikebench {verb} suite.yaml" if frame.folders else ""))
    return found


def suite_text(folder: object) -> str:
    """The suite as it is in a results folder; "" where there is none that can be read."""
    try:
        return ResultsFolder(str(folder)).suite_text() or ""
    except StorageError:
        return ""


def _moment(text: str) -> str:
    """``2026-11-28 08:03 UTC``; what is no such time stays as it is."""
    try:
        return f"{datetime.strptime(text, '%Y-%m-%dT%H:%M:%S%z').astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return text


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"
