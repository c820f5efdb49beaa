"""Of records with the same address the first is kept, whatever folders they come from."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikebench.core.records import Record
from spikebench.reading.model import distinct as module
from spikebench.reading.model.distinct import Distinct

SHARED = [{}, {"epoch": 1}, {"epoch": "1"}, {"epoch": 1, "T": 2}, {"T": 2, "epoch": 1}, {"epoch": True}]
JOBS = [("j", "c", "m"), ("j", "c", "n"), ("k", "c", "m")]
RECORDS = st.builds(
    lambda metric, value, scope, shared, own: (metric, value, scope, {**shared} if own else shared),
    st.sampled_from(["events", "energy"]),
    st.integers(),
    st.sampled_from(["", "head"]),
    st.sampled_from(SHARED),
    st.booleans(),
)


@pytest.mark.parametrize("most", [1, 65_536])
@given(files=st.lists(st.tuples(st.sampled_from(JOBS), st.lists(RECORDS, max_size=6)), max_size=5))
def test_it_is_a_dictionary_by_all_that_makes_an_address(most: int, files: list[tuple[tuple[str, str, str], Any]]) -> None:
    found = Distinct()
    expected: dict[Any, Record] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MOST", most)
        for job, fields in files:
            records = [Record(m, v, "1", "counted", s, c, None, "ok", "", *job, "s") for m, v, s, c in fields]
            found.add(job, records)
            for record in records:
                conditions = frozenset((name, str(value)) for name, value in record.conditions.items())
                expected.setdefault((*job, record.metric, record.scope, conditions), record)
    assert [*map(id, found.records)] == [*map(id, expected.values())]
