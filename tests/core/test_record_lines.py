"""The short way from a stored line to a record gives what ``Record.from_json`` gives, of good lines and of any other."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spikebench.core.record_lines import Lines
from spikebench.core.records import Record

IDS = {"job_id": "j", "cell_id": "c", "machine_id": "m", "source_id": "s"}
NUMBERS = st.integers() | st.floats() | st.sampled_from([0, 0.0, -0.0, 1, 1.0, True, 2**63, 10**400])
TEXTS = st.text(max_size=2)
ANYTHING = NUMBERS | TEXTS | st.none() | st.lists(NUMBERS, max_size=2) | st.dictionaries(TEXTS, NUMBERS)
GOOD = st.fixed_dictionaries(
    {
        "metric": st.sampled_from(["events", "energy"]),
        "value": NUMBERS,
        "unit": st.sampled_from(["1", "J"]),
        "kind": st.sampled_from(["measured", "counted"]),
        "scope": st.sampled_from(["", "blocks.0"]),
        "conditions": st.dictionaries(st.sampled_from(["epoch", "T"]), NUMBERS | st.text(max_size=2), max_size=2),
        "status": st.just("ok"),
    },
    optional={"samples": st.lists(NUMBERS, max_size=3)},
)
ODD = st.dictionaries(
    st.sampled_from(["metric", "value", "unit", "kind", "scope", "conditions", "samples", "status", "reason", "x"]), ANYTHING
)


def outcome(read: Any) -> str:
    """``repr`` tells 1 from 1.0 and from True, and the two zeros."""
    try:
        return repr(read())
    except ValueError:
        return "refused"


@given(
    st.lists(GOOD | st.builds(lambda good, odd: {**good, **odd}, GOOD, ODD) | ODD, max_size=6), st.sampled_from(["", " ", "x"])
)
@example([{"metric": "m", "value": 1, "unit": "s", "kind": "counted", "scope": "", "conditions": {"n": n}, "status": "ok"}
          for n in (1, 1.0, True, 0.0, -0.0)], "")  # fmt: skip
def test_any_line_gives_what_the_long_way_gives(lines: list[dict[str, Any]], tail: str) -> None:
    reader = Lines()
    # Each line a second time with another value: what was seen but for its value is not parsed again.
    again = [{**data, "value": other} for data in lines for other in (data.get("value"), 0.5, 3, None)]
    for data in again:
        line = json.dumps(data) + tail
        short = outcome(lambda line=line: list(reader.records([line], IDS)))
        assert short == outcome(lambda line=line: [Record.from_json(line, **IDS)])


REST = ', "unit": "s", "kind": "counted", "scope": "", "conditions": {}, "status": "ok"'


@pytest.mark.parametrize(
    "pattern",
    [
        '{"metric": "m", "value": %s' + REST + "}",
        '{"metric": "m", "value": %s' + REST + ', "value": 5}',
        '{"metric": "m", "value": %s' + REST + ', "v\\u0061lue": 5}',
        '{"metric": "m", "value": %s' + REST + ', "metric": "n"}',
        '{"unit": {"metric": "m", "value": %s}, ' + REST[2:] + ', "metric": "m", "value": 1}',
        '{"metric": "\\"value\\": ", "value": %s' + REST + "}",
        '{"metric": "m", "value": %s' + REST.replace("{}", '{"value": 2}') + "}",
        '[{"metric": "m", "value": %s' + REST + "}]",
        '{"metric": "m", "value": %s1' + REST + "}",
    ],
)
def test_a_line_that_was_seen_but_for_its_value_is_read_as_if_it_were_the_first(pattern: str) -> None:
    reader = Lines()
    for value in ("1", "1", "2", "2.0", "-0.0", "1e999", "01", "+1", "1.", "NaN", "true", "null", '"1"', "[1]", "1 ", "9" * 400):
        line = pattern % value
        short = outcome(lambda line=line: list(reader.records([line], IDS)))
        assert short == outcome(lambda line=line: [Record.from_json(line, **IDS)])


@given(st.text(max_size=40))
@example("[" * 100_000)
@example('{"metric": "m", "value": NaN, "unit": "s"}')
def test_any_text_gives_what_the_long_way_gives(text: str) -> None:
    assert outcome(lambda: list(Lines().records([text], IDS))) == outcome(lambda: [Record.from_json(text, **IDS)])


def test_what_records_share_is_one_object() -> None:
    """A million of them would need a gigabyte else."""
    written = [Record("epoch_loss", value, "1", scope="blocks.0", conditions={"epoch": 1}) for value in (0.5, 0.25)]
    first, second = Lines().records([record.to_json() for record in written], IDS)
    for name in ("metric", "unit", "scope", "conditions"):
        assert getattr(first, name) is getattr(second, name)


def test_a_line_as_we_write_it_takes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    record = Record("latency", 0.1, "s", conditions={"batch_size": 1}, samples=[0.1, 0.2], **IDS)
    line = record.to_json()
    monkeypatch.delattr(Record, "from_json")
    assert list(Lines().records([line], IDS)) == [record]
