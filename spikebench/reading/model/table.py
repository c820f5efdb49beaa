"""A frame as a pandas table. Made column by column: what many records share (a cell's factors, conditions) is converted once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from spikebench.core.records import Record

if TYPE_CHECKING:
    import pandas as pd

    from spikebench.reading.model.factors import Factor

FIXED = ("metric", "value", "unit", "kind", "scope", "status", "reason")
IDS = ("job_id", "cell_id", "machine_id", "source_id")


def table(records: Sequence[Record], factors: Mapping[str, Mapping[str, Factor]], groups: Mapping[str, str]) -> pd.DataFrame:
    """See ``Frame.to_pandas``. ``factors``: cell_id -> its factors; ``groups``: cell_id -> group_id."""
    import numpy as np
    import pandas as pd

    conditions = _spread(((id(r.conditions), r.conditions) for r in records), prefix="condition:")
    cells = _spread((r.cell_id, factors.get(r.cell_id, {})) for r in records)
    columns: dict[str, Any] = {name: [getattr(record, name) for record in records] for name in FIXED}
    columns["value"] = np.array([np.nan if value is None else value for value in columns["value"]], dtype="float64")
    columns["n"] = np.array(
        [0 if r.value is None else (1 if r.samples is None else len(r.samples)) for r in records], dtype="int64"
    )
    columns |= {name: conditions[name] for name in sorted(conditions)}
    columns |= {name: column for name, column in cells.items() if name not in columns}
    columns["group_id"] = [groups.get(record.cell_id) for record in records]
    columns |= {name: [getattr(record, name) for record in records] for name in IDS}
    return pd.DataFrame(columns)


def _spread(rows: Iterable[tuple[Hashable, Mapping[str, Any]]], prefix: str = "") -> dict[str, Any]:
    """Columns of rows that are given with a key each; those of the same key are the same and are converted once."""
    import numpy as np
    import pandas as pd

    places: dict[Hashable, int] = {}
    different: list[dict[str, Any]] = []
    codes = []
    for key, row in rows:
        place = places.setdefault(key, len(places))
        if place == len(different):
            different.append({f"{prefix}{name}": value for name, value in row.items()})
        codes.append(place)
    names = list(dict.fromkeys(name for row in different for name in row))
    frame = pd.DataFrame.from_records(different, columns=names)
    # Whole numbers stay whole in columns that some rows leave empty.
    return {name: frame[name].convert_dtypes().array.take(np.array(codes, dtype="intp")) for name in names}
