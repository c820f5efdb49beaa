"""What is known of a machine's noise: a trace of pairs of processes, and what the gate on times can promise with it.

A trace is a JSON-lines file: a header, then one line a pair. Lines are appended as they come, so nothing measured is lost; a torn
last line is left out.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median, stdev
from typing import Any

from spikebench.core.errors import InputError, StorageError, storage_errors
from spikebench.core.json_text import parse
from spikebench.derived.paired_rule import PairedRule, difference
from spikebench.reading.gate.timed import Key, Timed

SCHEMA = 2
"""1 held processes that were measured one after the other."""
FEWEST = 10
"""Pairs below which a trace says nothing of a machine."""
Allowed = Callable[[Key, float], float]


@dataclasses.dataclass
class Calibration:
    """One trace. ``header``: suite, machine_id, source_id, how processes are measured (window in seconds, alone) and,
    where it is known, the condition (what else the machine did).

    ``medians``: a quantity's process medians in order, two a pair; ``differences``: ln(second / first) of each pair, both of the
    same code; ``seconds``: what each pair took, all told.
    """

    path: Path
    header: Mapping[str, Any]
    medians: dict[Key, list[float]] = dataclasses.field(default_factory=dict)
    differences: dict[Key, list[float]] = dataclasses.field(default_factory=dict)
    seconds: list[float] = dataclasses.field(default_factory=list)

    @classmethod
    def at(cls, folder: Path, suite: str, machine_id: str) -> Path:
        """Where the trace of a suite on a machine is kept."""
        return folder / f"{suite}-{machine_id}.jsonl"

    @classmethod
    def find(cls, folder: Path, suite: str, machine_id: str, protocol: Mapping[str, Any]) -> Calibration | None:
        """The calibration to go by; None where there is none, or one of another ``protocol`` or of too few pairs.

        Raises StorageError for one that is damaged.
        """
        path = cls.at(folder, suite, machine_id)
        if not path.is_file():
            return None
        found = cls.read(path)
        same = all(found.header.get(name) == value for name, value in protocol.items())
        return found if same and len(found.seconds) >= FEWEST else None

    @classmethod
    def read(cls, path: Path) -> Calibration:
        """Raises StorageError naming file and line for anything but a trace; a torn last line alone is forgiven."""
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise StorageError(f"{path}: cannot be read: {error}") from None
        found = cls(path, _header(path, lines[0]))
        for number, line in enumerate(lines[1:-1], 2):
            try:
                entry = parse(line)
                for cell, metric, conditions, *pair in entry["pair"]:
                    first, second = (list(map(float, times)) for times in pair)
                    found._take(Key(int(cell), str(metric), tuple(sorted(conditions.items()))), first, second)
                found.seconds.append(float(entry["seconds"]))
            except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError):
                raise StorageError(f"{path}:{number}: is no line of a calibration") from None
        return found

    @classmethod
    def begin(cls, path: Path, header: Mapping[str, Any]) -> Calibration:
        """Take up the trace at ``path`` where it was, or begin one. Raises InputError for one of other code, machine or
        protocol."""
        header = {"schema": SCHEMA, "kind": "calibration", **header}
        if not path.exists():
            with storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps(header) + "\n", encoding="utf-8")
            return cls(path, header)
        found = cls.read(path)
        other = [name for name, value in header.items() if found.header.get(name) != value]
        if other:
            raise InputError(f"{path}: is a trace of another {', '.join(other)}; move it away to begin anew")
        with storage_errors(path), path.open("r+b") as stream:  # what a killed process left half written
            whole = stream.read()
            stream.truncate(whole.rfind(b"\n") + 1)
        return found

    def add(self, first: Timed, second: Timed, seconds: float) -> None:
        """Append one pair, on the disk when this returns: the quantities that both processes measured. Raises StorageError."""
        shared = [key for key in first if key in second]
        rows = [[key.cell, key.metric, dict(key.conditions), list(first[key]), list(second[key])] for key in shared]
        with storage_errors(self.path), self.path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"seconds": round(seconds, 3), "pair": rows}) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        for key in shared:
            self._take(key, first[key], second[key])
        self.seconds.append(seconds)

    def spread(self, key: Key) -> float:
        """Standard deviation of the differences of pairs."""
        return stdev(self.differences[key])

    def rule(self, allowed: Allowed, seconds: float | None, sides: int) -> PairedRule:
        """As many pairs as the tolerances need here. Raises InputError naming those that cannot be held in ``seconds``, and what
        can.

        A round takes one process of each of the ``sides``, a pair two.
        """
        base = dataclasses.replace(PairedRule(), cells=max(1, len(self.medians)))
        found, refused = base, []
        round_seconds = sides / 2 * median(self.seconds)
        most = math.inf if seconds is None else seconds / round_seconds
        for key, values in self.medians.items():
            tolerance = allowed(key, median(values))
            rule = base.for_tolerance(self.spread(key), tolerance)
            if rule is None or rule.most > most:
                refused.append(self._refusal(key, base, rule, tolerance, most, round_seconds))
            elif rule.most > found.most:
                found = rule
        if refused:
            raise InputError("\n".join(refused))
        return found

    def before(self, rule: PairedRule, allowed: Allowed, names: Mapping[int, str]) -> list[str]:
        """A line a quantity: what can be found here, said before anything is measured."""
        return [
            f"{names.get(key.cell, key.cell)} {key.address}: {rule.first} to {rule.most} rounds find slow-downs from "
            f"{math.expm1(rule.detectable(self.spread(key), allowed(key, median(values)))):.1%} on (noise of a pair "
            f"{self.spread(key):.1%}, of {len(self.differences[key])} pairs)"
            for key, values in self.medians.items()
        ]

    def _refusal(
        self, key: Key, base: PairedRule, rule: PairedRule | None, tolerance: float, most: float, round_seconds: float
    ) -> str:
        words = f"{key.address}: a tolerance of {math.expm1(tolerance):.3g} cannot be held on this machine"
        noise = f"its noise from pair to pair is {self.spread(key):.1%}"
        if rule is None:
            return f"{words}, however long it takes: {noise}"
        pairs = max(3, int(most))
        holds = base.detectable(self.spread(key), 0.0, pairs)
        return (
            f"{words} in the time given: {noise}, so it takes {rule.most} rounds of {round_seconds:.1f} s, "
            f"{rule.most * round_seconds / 60:.0f} min; {pairs} rounds hold {math.expm1(holds):.1%}"
        )

    def _take(self, key: Key, first: Sequence[float], second: Sequence[float]) -> None:
        self.medians.setdefault(key, []).extend((median(first), median(second)))
        self.differences.setdefault(key, []).append(difference(first, second))


def _header(path: Path, line: str) -> Mapping[str, Any]:
    try:
        header = parse(line)
    except ValueError:
        header = None
    if not isinstance(header, dict) or header.get("kind") != "calibration":
        raise StorageError(f"{path}:1: is not the header of a calibration")
    if header.get("schema") != SCHEMA:
        raise StorageError(f"{path}:1: has schema {header.get('schema')}; this version reads {SCHEMA}")
    return header
