"""One number, or the reason why there is none; and the selector that finds it."""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, get_args

from spikebench.core import json_text
from spikebench.core.errors import InputError, Problem
from spikebench.core.metrics import Kind, Metric
from spikebench.core.reasons import one_line
from spikebench.core.text import shorten

Status = Literal["ok", "failed", "unavailable"]
Scalar = str | int | float | bool


@dataclasses.dataclass(frozen=True, slots=True)
class Record:
    """One number with all that is needed to read it alone.

    ``value``: int for counts, float otherwise, None if it could not be had; then ``status`` is ``failed`` (something broke;
    the next run tries again) or ``unavailable`` (it cannot be had here, which is final) and ``reason`` says why.
    ``scope``: "" for the whole network, else a module path. ``conditions``: what else the number depends on (batch size,
    backend, profile, epoch, T). ``samples``: the raw samples of which ``value`` is the summary. ``reason`` becomes one printable
    line of at most 2 kB, whoever wrote it. The four ids are filled in by the runner.
    """

    metric: str
    value: int | float | None
    unit: str
    kind: Kind = "measured"
    scope: str = ""
    conditions: Mapping[str, Scalar] = dataclasses.field(default_factory=dict)
    samples: Sequence[int | float] | None = None
    status: Status = "ok"
    reason: str = ""
    job_id: str = ""
    cell_id: str = ""
    machine_id: str = ""
    source_id: str = ""

    def __post_init__(self) -> None:
        if (self.value is None) == (self.status == "ok"):
            raise ValueError(f"{self.metric}: a record is ok if and only if it has a value, got {self.value!r} and {self.status}")
        if self.value is None and not self.reason:
            raise ValueError(f"{self.metric}: a record without a value needs a reason")
        if self.reason:
            object.__setattr__(self, "reason", one_line(self.reason) or "no printable reason")

    @classmethod
    def of(cls, metric: Metric, value: int | float, **fields: Any) -> Record:
        """A value of ``metric``; one that is not finite becomes a record without a value, since tables and gates need numbers."""
        fields.setdefault("kind", metric.kind)
        if not math.isfinite(value):
            return cls(metric.name, None, metric.unit, status="failed", reason=f"the value is {value}", **fields)
        return cls(metric.name, value, metric.unit, **fields)

    @classmethod
    def absent(cls, metric: Metric, reason: str, status: Status = "unavailable", **fields: Any) -> Record:
        """No value, and why."""
        fields.setdefault("kind", metric.kind)
        return cls(metric.name, None, metric.unit, status=status, reason=reason, **fields)

    def under(self, conditions: Mapping[str, Scalar]) -> Record:
        """The same record with these conditions instead of its own."""
        return Record(
            self.metric, self.value, self.unit, self.kind, self.scope, conditions, self.samples, self.status, self.reason,
            self.job_id, self.cell_id, self.machine_id, self.source_id,
        )  # fmt: skip

    def of_job(self, job_id: str, cell_id: str, machine_id: str, source_id: str) -> Record:
        """The same record with these ids."""
        return Record(
            self.metric, self.value, self.unit, self.kind, self.scope, self.conditions, self.samples, self.status, self.reason,
            job_id, cell_id, machine_id, source_id,
        )  # fmt: skip

    def to_json(self) -> str:
        """One line, keys in a fixed order; the ids stand in the file's header, not here."""
        data = {name: getattr(self, name) for name in STORED}
        data["conditions"] = dict(self.conditions)
        if self.samples is None:
            del data["samples"]
        else:
            data["samples"] = list(self.samples)
        if not self.reason:
            del data["reason"]
        return json.dumps(data, ensure_ascii=False, allow_nan=False)

    @classmethod
    def from_json(cls, line: str | Mapping[str, Any], **ids: Any) -> Record:
        """Read a stored line. Raises ValueError if it is not one, or one of its values is not what it should be (a number that
        is not finite among them); unknown keys are ignored, so that newer writers can be read."""
        data = json_text.parse(line) if isinstance(line, str) else line
        if not isinstance(data, Mapping):
            raise ValueError("a record is a JSON object")
        missing = [key for key in ("metric", "value", "unit") if key not in data]
        if missing:
            raise ValueError(f"a record needs {', '.join(missing)}")
        fields = {key: data[key] for key in STORED if key in data}
        for key, value in fields.items():
            if not _FITS[key](value):
                got = f" {str(value)[:40]!r}" if isinstance(value, (str, int, float)) else ""
                raise ValueError(f"{key} of a record cannot be the {type(value).__name__}{got}")
        return cls(**fields, **ids)


STORED = ("metric", "value", "unit", "kind", "scope", "conditions", "samples", "status", "reason")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    if type(value) is not int and type(value) is not float:
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an int beyond any float
        return False


def are_conditions(value: Any) -> bool:
    """Whether a stored record may have these conditions."""
    return isinstance(value, dict) and all(type(one) in (str, bool) or _is_number(one) for one in value.values())


def are_samples(value: Any) -> bool:
    """Whether a stored record may have these samples."""
    if value is None or not isinstance(value, list):
        return value is None
    try:
        return set(map(type, value)) <= {int, float} and all(map(math.isfinite, value))
    except OverflowError:
        return False


_KINDS, _STATUSES = frozenset(get_args(Kind)), frozenset(get_args(Status))
_FITS: Mapping[str, Callable[[Any], bool]] = {
    "metric": _is_text,
    "value": lambda value: value is None or _is_number(value),
    "unit": _is_text,
    "kind": lambda value: isinstance(value, str) and value in _KINDS,
    "scope": _is_text,
    "conditions": are_conditions,
    "samples": are_samples,
    "status": lambda value: isinstance(value, str) and value in _STATUSES,
    "reason": _is_text,
}
"""What a stored record may hold: key -> whether a value fits."""

_SELECTOR = re.compile(r"(?P<metric>[A-Za-z_]\w*)(?:\s*\{(?P<conditions>[^{}]*)\})?(?:\s*@(?P<scope>\S*))?")
"""Blanks stand before what they lead to, so that no run of them can be divided in more than one way."""


@dataclasses.dataclass(frozen=True, slots=True)
class Selector:
    """``latency{batch_size=32}@blocks.*``: a metric, conditions that must hold, a scope (a pattern).

    Without ``@`` the scope is the whole network.
    """

    metric: str
    conditions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    scope: str = ""

    @classmethod
    def parse(cls, text: str) -> Selector:
        """Raises InputError if ``text`` is not of the form ``metric{name=value, ...}@scope``."""
        match = _SELECTOR.fullmatch(text.strip())
        if match is None:
            raise InputError(Problem(f"expected metric{{condition=value, ...}}@scope, got {shorten(text)}"))
        conditions: dict[str, str] = {}
        for part in filter(None, (part.strip() for part in (match["conditions"] or "").split(","))):
            name, equals, value = (piece.strip() for piece in part.partition("="))
            if not (name and equals and value):
                raise InputError(Problem(f"expected condition=value in {shorten(text)}, got {shorten(part)}"))
            conditions[name] = value
        return cls(match["metric"], conditions, match["scope"] or "")

    def matches(self, record: Record) -> bool:
        return record.metric == self.metric and self.matches_conditions(record.conditions) and self.matches_scope(record.scope)

    def matches_conditions(self, conditions: Mapping[str, Scalar]) -> bool:
        return all(name in conditions and spell(conditions[name]) == value for name, value in self.conditions.items())

    def matches_scope(self, scope: str) -> bool:
        from fnmatch import fnmatchcase

        return fnmatchcase(scope, self.scope) if self.scope else scope == ""

    def one(self, records: Sequence[Record]) -> Record:
        """The one record that matches. Raises InputError listing what matches where it is none or several."""
        found = [record for record in records if self.matches(record)]
        if len(found) == 1:
            return found[0]
        same = [record for record in records if record.metric == self.metric and self.matches_scope(record.scope)]
        listing = "; ".join(sorted({label(record) for record in (found or same)})[:12]) or "none has this metric and scope"
        raise InputError(f"{self} must match one record, but matches {len(found)}: {listing}")

    def __str__(self) -> str:
        inner = ", ".join(f"{name}={value}" for name, value in self.conditions.items())
        return self.metric + (f"{{{inner}}}" if inner else "") + (f"@{self.scope}" if self.scope else "")


def spell(value: Scalar) -> str:
    """A condition's value as a selector writes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def label(record: Record) -> str:
    """A record's address in selector syntax, with all its conditions."""
    return str(Selector(record.metric, {name: spell(value) for name, value in record.conditions.items()}, record.scope))
