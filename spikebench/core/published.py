"""What papers print, one CSV file per paper, as records of kind ``published``.

Only what was read is here. ``read_in``: ``primary`` (the authors' text or repository), ``translation`` (a full translation of the
paper) or ``second-hand`` (another paper's table). Columns keep the papers' units; ``factors`` name the network as a suite would,
empty where spikebench has none like it. ``sops_G`` is what the paper calls SOPs, usually firing rate x dense operations.

Spikformer's printed energies charge every width the first convolution of the 512-wide network;
``energy_self_consistent_mJ`` charges each row its own: 4.6 pJ x T x 27 x 224^2 x D/8 + 0.9 pJ x SOPs.
"""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

from spikebench.core.errors import InputError, Problem
from spikebench.core.records import Record, Scalar
from spikebench.core.registry import REGISTRIES


class _Meaning(NamedTuple):
    metric: str
    unit: str
    scale: Decimal
    whole: bool
    convention: str
    """Of the number; "" takes the row's own."""


COLUMNS: Mapping[str, _Meaning] = {
    "params_M": _Meaning("parameters", "1", Decimal(10) ** 6, True, "none"),
    "sops_G": _Meaning("events", "1", Decimal(10) ** 9, True, "rate"),
    "macs_G": _Meaning("dense_macs", "1", Decimal(10) ** 9, True, "none"),
    "energy_mJ": _Meaning("energy", "J", Decimal(10) ** -3, False, ""),
    "energy_self_consistent_mJ": _Meaning("energy", "J", Decimal(10) ** -3, False, "self-consistent"),
    "top1": _Meaning("accuracy", "1", Decimal(10) ** -2, False, "none"),
}


@dataclasses.dataclass(frozen=True)
class Published:
    """One row of a paper's table. ``records`` name their source and, where it matters, their convention, in the conditions."""

    paper: str
    system: str
    variant: str
    dataset: str
    T: str
    factors: Mapping[str, str]
    source: str
    read_in: str
    records: tuple[Record, ...]

    def is_of(self, factors: Mapping[str, Any]) -> bool:
        """Whether the row is about a network with these factors: all that it names agree, options left aside. A row that names
        no family is about Spikformer's, whose parts the others do not have; one that names nothing is about none of ours.
        """
        wanted = {"family": "spikformer", **self.factors}
        return bool(self.factors) and all(str(factors.get(name)).partition("(")[0] == value for name, value in wanted.items())


def load(name: str) -> list[Published]:
    """The rows of one paper. Raises InputError for an unknown paper and, with file and line, for a row that cannot be read."""
    path = REGISTRIES["published"].get(name)
    with Path(path).open(encoding="utf-8", newline="") as stream:
        lines = [line for line in stream if not line.startswith("#")]
    return [_row(name, fields, str(path), number) for number, fields in enumerate(csv.DictReader(lines), start=3)]


def load_all() -> list[Published]:
    """The rows of every paper."""
    return [row for name in REGISTRIES["published"] for row in load(name)]


def records() -> Iterator[Record]:
    """Every published number."""
    for row in load_all():
        yield from row.records


def _row(paper: str, fields: Mapping[str, str], path: str, line: int) -> Published:
    try:
        factors = dict(pair.split("=", 1) for pair in fields["factors"].split())
        found = tuple(_record(paper, fields, name, meaning) for name, meaning in COLUMNS.items() if fields[name])
    except (KeyError, ValueError, InvalidOperation) as error:
        raise InputError(Problem(f"not a row of published results: {error!r}", file=path, line=line)) from error
    names = ("system", "variant", "dataset", "T", "source", "read_in")
    return Published(paper=paper, factors=factors, records=found, **{name: fields[name] for name in names})


def _record(paper: str, fields: Mapping[str, str], column: str, meaning: _Meaning) -> Record:
    # Decimal keeps 93.94 % at 0.9394 and 16.81 M a whole number.
    number = Decimal(fields[column]) * meaning.scale
    conditions: dict[str, Scalar] = {name: fields[name] for name in ("system", "variant", "dataset", "T") if fields[name]}
    convention = meaning.convention or fields["convention"] or "as-printed"
    if convention != "none":
        conditions["convention"] = convention
    conditions |= {"paper": paper, "source": fields["source"]}
    value = int(number) if meaning.whole else float(number)
    return Record(meaning.metric, value, meaning.unit, kind="published", conditions=conditions)
