"""One commit's results as a few numbers: what a history is made of, kept a file a commit."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

from spikebench.core import json_text
from spikebench.core.errors import StorageError, storage_errors
from spikebench.core.records import Record, Selector, spell
from spikebench.reading.gate.undisturbed import undisturbed
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.summary import PER_STEP, is_whole

SCHEMA = 1


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Row:
    """What one series is of: a variant, a metric with its conditions, and the machine where the metric holds on one alone."""

    variant: str
    address: str
    machine_id: str = ""


@dataclasses.dataclass(frozen=True)
class Summary:
    """``commit``: its full name, or what else the results are called. ``values``: means over seeds, in stored units. ``origin``:
    the folder in the repository that it was read from, where it was."""

    commit: str
    when: str
    subject: str
    suite: str
    values: Mapping[Row, float]
    origin: str = ""

    @property
    def short(self) -> str:
        """Eight digits of a commit; any other name whole."""
        return self.commit[:8] if len(self.commit) == 40 else self.commit

    @classmethod
    def of(cls, frame: Frame, commit: str, when: str = "", subject: str = "", origin: str = "") -> Summary:
        """Of all whole-network numbers; curves are left out."""
        found: dict[Row, list[float]] = {}
        for record in undisturbed(frame.records):
            group_id = frame.group_of(record)
            if group_id is not None and record.value is not None and _counts(record):
                machine = "" if frame.metric(record.metric).portable else record.machine_id
                address = Selector(record.metric, {name: spell(value) for name, value in sorted(record.conditions.items())})
                row = Row(frame.name(group_id) or group_id, str(address), machine)
                found.setdefault(row, []).append(float(record.value))
        return cls(commit, when, subject, frame.suite.name, {row: fmean(values) for row, values in found.items()}, origin)

    def write(self, folder: Path) -> Path:
        """Raises StorageError."""
        path = folder / f"{self.commit}.json"
        plain = {
            "schema": SCHEMA, "commit": self.commit, "when": self.when, "subject": self.subject, "suite": self.suite,
            "origin": self.origin,
            "values": [[row.variant, row.address, row.machine_id, value] for row, value in sorted(self.values.items())],
        }  # fmt: skip
        with storage_errors(path):
            folder.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            part.write_text(json.dumps(plain, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
            part.replace(path)
        return path

    @classmethod
    def read(cls, path: Path) -> Summary:
        """A summary of ours, Bencher's format, or a list of github-action-benchmark. Raises StorageError for anything else."""
        try:
            data = json_text.parse(path.read_text(encoding="utf-8"))
            return _READERS[_kind(data)](data, path)
        except OSError as error:
            raise StorageError(f"{path}: cannot be read: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            raise StorageError(
                f"{path}: is no summary of results: expected one of ours, Bencher's BMF or a list of github-action-benchmark"
            ) from None


def _counts(record: Record) -> bool:
    return is_whole(record) and not any(name in record.conditions for name in PER_STEP)


def _kind(data: Any) -> str:
    if isinstance(data, list):
        return "list"
    return "ours" if data.get("schema") == SCHEMA else "bmf"


def _ours(data: Any, path: Path) -> Summary:
    values = {Row(str(variant), str(address), str(machine)): float(value) for variant, address, machine, value in data["values"]}
    commit, when, subject, suite, origin = (str(data[name]) for name in ("commit", "when", "subject", "suite", "origin"))
    return Summary(commit, when, subject, suite, values, origin)


def _bmf(data: Any, path: Path) -> Summary:
    values = {
        Row(str(name), str(measure)): float(point["value"]) for name, each in data.items() for measure, point in each.items()
    }
    return Summary(path.stem, "", "", "", values)


def _list(data: Any, path: Path) -> Summary:
    """The last word of a name is the metric, as our own lists have it."""
    values = {}
    for entry in data:
        variant, _, measure = str(entry["name"]).rpartition(" ")
        values[Row(variant, measure)] = float(entry["value"])
    return Summary(path.stem, "", "", "", values)


_READERS = {"ours": _ours, "bmf": _bmf, "list": _list}
