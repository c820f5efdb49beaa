"""Selectors and records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikebench.core.errors import InputError
from spikebench.core.records import Record, Selector, label

names = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
values = st.from_regex(r"[A-Za-z0-9_.:-]{1,8}", fullmatch=True)
scopes = st.from_regex(r"([a-z][a-z0-9.*]{0,8})?", fullmatch=True)


@given(metric=names, conditions=st.dictionaries(names, values, max_size=3), scope=scopes)
def test_a_selector_survives_being_written_and_read(metric: str, conditions: dict[str, str], scope: str) -> None:
    selector = Selector(metric, conditions, scope)
    assert Selector.parse(str(selector)) == selector


@pytest.mark.parametrize("text", ["", "a b", "a{", "a{b}", "a{b=}", "a{=c}", "@x", "a{b=c", "a}"])
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Selector.parse(text)


def test_without_a_scope_only_the_whole_matches() -> None:
    whole, layer = Record("events", 1, "1"), Record("events", 1, "1", scope="stem")
    assert [Selector.parse("events").matches(r) for r in (whole, layer)] == [True, False]
    assert [Selector.parse("events@*").matches(r) for r in (whole, layer)] == [True, True]


def test_one_lists_what_matches_where_it_is_several() -> None:
    records = [Record("latency", 1.0, "s", conditions={"batch_size": n}) for n in (1, 32)]
    with pytest.raises(InputError, match=r"latency\{batch_size=1\}; latency\{batch_size=32\}"):
        Selector.parse("latency").one(records)
    assert Selector.parse("latency{batch_size=32}").one(records) is records[1]


def test_one_lists_the_addresses_where_none_matches() -> None:
    records = [Record("latency", 1.0, "s", conditions={"batch_size": 1})]
    with pytest.raises(InputError, match=r"matches 0: latency\{batch_size=1\}"):
        Selector.parse("latency{batch_size=2}").one(records)


def test_conditions_are_spelled_as_a_person_writes_them() -> None:
    record = Record("latency", 1.0, "s", conditions={"compiled": True, "n": 2})
    assert label(record) == "latency{compiled=true, n=2}"
    assert Selector.parse(label(record)).matches(record)


def test_a_value_that_is_not_finite_is_no_value() -> None:
    from spikebench.core.metrics import Metric

    metric = Metric("loss", "1", "lower", "measured", "Loss")
    assert Record.of(metric, float("nan")).status == "failed"
