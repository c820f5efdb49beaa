"""Results of many commits as series, with the commits at which their level changed."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from spikebench.core import json_text
from spikebench.core.errors import InputError, SpikebenchError, StorageError, nearest, storage_errors
from spikebench.core.metrics import Metric, metric
from spikebench.derived.change_points import ChangePoint, change_points, steps
from spikebench.reading.gate.summaries import Row, Summary

CLOSE = 3
"""A change point may move by so many commits when more of them are known; within that it is the same change."""


@dataclasses.dataclass(frozen=True)
class Change:
    """``commit``: the first with the new level. ``worse``: None where neither direction is."""

    row: Row
    commit: Summary
    place: int
    point: ChangePoint
    worse: bool | None
    confirmed: bool = False


@dataclasses.dataclass(frozen=True)
class Series:
    """``places``: which of the history's commits have a value."""

    row: Row
    metric: Metric
    places: tuple[int, ...]
    values: tuple[float, ...]
    changes: tuple[Change, ...]

    def level(self, place: int) -> float:
        """The mean of the stretch between change points that a commit lies in."""
        bounds = [0, *(change.point.index for change in self.changes), len(self.values)]
        index = self.places.index(place)
        begin = max(bound for bound in bounds if bound <= index)
        end = min(bound for bound in bounds if bound > index)
        return sum(self.values[begin:end]) / (end - begin)


@dataclasses.dataclass(frozen=True)
class History:
    """``commits`` in order, oldest first."""

    suite: str
    commits: tuple[Summary, ...]
    series: tuple[Series, ...]

    @property
    def changes(self) -> list[Change]:
        """The newest first."""
        return sorted((change for one in self.series for change in one.changes), key=lambda change: -change.place)

    @property
    def news(self) -> list[Change]:
        """Changes for the worse that nobody has confirmed: what a history alarms about."""
        return [change for change in self.changes if change.worse and not change.confirmed]

    def confirm(self, commit: str, folder: Path) -> list[Change]:
        """Keep that the changes at a commit are known, so that they stay quiet from now on; returns them.

        Raises InputError for a commit that is not in the history, or that changed nothing.
        """
        names = [summary.commit for summary in self.commits]
        found = [place for place, name in enumerate(names) if name.startswith(commit)]
        if len(found) != 1 or not commit:
            known = [summary.short for summary in self.commits]
            which = "names several commits" if found else "is not in this history"
            raise InputError(f"--confirm: {commit!r} {which}{nearest(commit, known)}")
        same = [change for change in self.changes if abs(change.place - found[0]) <= CLOSE]
        if not same:
            raise InputError(f"--confirm: nothing changed at {commit} or within {CLOSE} commits of it")
        path = folder / "confirmed.jsonl"
        kept = [
            {"row": dataclasses.astuple(change.row), "commit": change.commit.commit, "up": change.point.change > 0}
            for change in same
        ]
        with storage_errors(path):
            folder.mkdir(parents=True, exist_ok=True)
            with path.open("a", encoding="utf-8") as stream:
                stream.writelines(json.dumps(one) + "\n" for one in kept)
        return same

    def to_plain(self) -> dict[str, object]:
        """``schema``, the commits, and every series with its changes."""
        return {
            "schema": 1,
            "suite": self.suite,
            "commits": [{"commit": one.commit, "when": one.when, "subject": one.subject} for one in self.commits],
            "series": [_plain(one, self.commits) for one in self.series],
        }


def history(summaries: Sequence[Summary], folder: Path | None = None) -> History:
    """The series of summaries in their order. ``folder``: where confirmations are kept.

    A metric that repeats exactly changes wherever its value does; any other where the level of its noise changes, which can be
    known some commits late. Raises StorageError for confirmations that cannot be read, InputError where several suites are mixed.
    """
    suites = sorted({summary.suite for summary in summaries if summary.suite})
    if len(suites) > 1:
        raise InputError(f"a history is of one suite; these are of {', '.join(suites)}")
    known = _confirmed(folder)
    rows = sorted({row for summary in summaries for row in summary.values})
    return History("".join(suites), tuple(summaries), tuple(_series(row, summaries, known) for row in rows))


Known = set[tuple[Row, str, bool]]


def _series(row: Row, summaries: Sequence[Summary], known: Known) -> Series:
    declared = _metric(row)
    places = tuple(place for place, summary in enumerate(summaries) if row in summary.values)
    values = tuple(summaries[place].values[row] for place in places)
    found = steps(values) if declared.exact else change_points(values)
    commits = [summary.commit for summary in summaries]
    changes = []
    for point in found:
        place = places[point.index]
        worse = None if declared.direction is None else declared.better(point.before, point.after)
        near = commits[max(0, place - CLOSE) : place + CLOSE + 1]
        confirmed = any((row, commit, point.change > 0) in known for commit in near)
        changes.append(Change(row, summaries[place], place, point, worse, confirmed))
    return Series(row, declared, places, values, tuple(changes))


def _metric(row: Row) -> Metric:
    name = row.address.partition("{")[0]
    try:
        return metric(name)
    except SpikebenchError:
        return Metric(name, "1", None, "measured", name.replace("_", " "))


def _confirmed(folder: Path | None) -> Known:
    path = None if folder is None else folder / "confirmed.jsonl"
    if path is None or not path.is_file():
        return set()
    found: Known = set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            entry = json_text.parse_object(line)
            found.add((Row(*map(str, entry["row"])), str(entry["commit"]), bool(entry["up"])))
        except (ValueError, TypeError, KeyError):
            raise StorageError(f"{path}:{number}: is no confirmation of a change") from None
    return found


def _plain(series: Series, commits: Sequence[Summary]) -> dict[str, object]:
    return {
        "variant": series.row.variant,
        "metric": series.row.address,
        "machine_id": series.row.machine_id,
        "unit": series.metric.unit,
        "commits": [commits[place].commit for place in series.places],
        "values": list(series.values),
        "changes": list(_changes(series.changes)),
    }


def _changes(changes: Iterable[Change]) -> Iterable[dict[str, object]]:
    for change in changes:
        relative = change.point.change
        yield {
            "commit": change.commit.commit, "before": change.point.before, "after": change.point.after,
            "change": relative if abs(relative) != float("inf") else None, "p": change.point.p, "worse": change.worse,
            "confirmed": change.confirmed,
        }  # fmt: skip
