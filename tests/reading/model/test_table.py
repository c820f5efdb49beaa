"""The table made column by column is the one made of a dictionary a record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from spikebench.core.records import Record
from spikebench.reading.model.table import FIXED, IDS, table

VALUES = st.none() | st.integers(-5, 5) | st.floats(-2, 2) | st.sampled_from([1.0, True, False, "ssa", ""])
SHARED = [{}, {"epoch": 1}, {"epoch": 1, "T": True}, {"batch_size": 1.0, "backend": "numba"}, {"complete": False}]


@st.composite
def made(draw: st.DrawFn) -> Record:
    value = draw(st.none() | st.integers(0, 2**60) | st.floats(-1, 1))
    given = draw(
        st.sampled_from(SHARED) | st.dictionaries(st.sampled_from(["epoch", "x"]), VALUES.filter(lambda v: v is not None))
    )
    status, reason = ("ok", "") if value is not None else ("failed", "out of memory")
    samples = draw(st.none() | st.lists(st.integers(0, 1), max_size=3))
    return Record("events", value, "1", "counted", draw(st.sampled_from(["", "head"])), given, samples, status, reason,
                  "j", draw(st.sampled_from("abc")), "m", "s")  # fmt: skip


def by_rows(records: list[Record], factors: dict[str, Any], groups: dict[str, str]) -> pd.DataFrame:
    rows = [
        {name: getattr(record, name) for name in FIXED}
        | {"n": 0 if record.value is None else (1 if record.samples is None else len(record.samples))}
        | {f"condition:{name}": value for name, value in record.conditions.items()}
        | factors.get(record.cell_id, {})
        | {"group_id": groups.get(record.cell_id)}
        | {name: getattr(record, name) for name in IDS}
        for record in records
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    conditions = sorted(name for name in names if name.startswith("condition:"))
    others = [name for name in names if name not in (*FIXED, "n", *conditions, "group_id", *IDS)]
    found = pd.DataFrame.from_records(rows, columns=[*FIXED, "n", *conditions, *others, "group_id", *IDS])
    found = found.astype({"value": "float64", "n": "int64"})
    return found.assign(**{name: found[name].convert_dtypes() for name in (*conditions, *others)})


@given(
    st.lists(made(), min_size=1, max_size=12),
    st.dictionaries(st.sampled_from("ab"), st.dictionaries(st.sampled_from(["T", "stem", "train.lr"]), VALUES)),
)
def test_it_is_the_one_made_of_rows(records: list[Record], factors: dict[str, Any]) -> None:
    groups = dict.fromkeys(factors, "g")
    pd.testing.assert_frame_equal(table(records, factors, groups), by_rows(records, factors, groups))


def test_no_record_is_a_table_without_rows() -> None:
    found = table([], {}, {})
    assert len(found) == 0
    assert list(found) == [*FIXED, "n", "group_id", *IDS]
    assert found.value.dtype == np.float64
