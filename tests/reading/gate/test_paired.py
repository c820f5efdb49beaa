"""Verdicts on pairs: what they say, the control, and the counts that moved with a time."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import numpy as np
import pytest

from spikebench.core.metrics import Metric
from spikebench.core.records import Record
from spikebench.derived.paired_rule import PairedRule
from spikebench.reading.gate.moved import Work, work
from spikebench.reading.gate.paired import Times
from spikebench.reading.gate.timed import Key, Medians
from spikebench.reading.gate.tolerances import Tolerances
from spikebench.reading.model.frame import Frame

LATENCY = Metric(
    "latency", "s", "lower", "measured", "Latency", display_unit="ms", display_factor=1e3, portable=False, tolerance=0.05
)
CALLS = Metric("aten_calls", "1", "lower", "counted", "ATen calls", exact=True, combine="sum", portable=False)
BYTES = Metric("bytes_moved", "B", "lower", "counted", "Bytes moved", exact=True, combine="sum", portable=False)
KEY = Key(0, "latency", (("batch_size", "8"), ("phase", "training")))
RULE = PairedRule()


def times(new: float = 1.0, again: float | None = None, spread: float = 0.005, check: Mapping[str, str] | None = None) -> Times:
    """Ten rounds: base 10 ms, the new side's two runs ``new`` and ``again`` times that."""
    rng = np.random.default_rng(3)
    medians = Medians()
    factors = {"base": 1.0, "new": new, "again": new if again is None else again}
    for _ in range(10):
        medians.add({side: {KEY: [0.01 * factor * math.exp(rng.normal(0, spread))]} for side, factor in factors.items()})
    found = Times(medians, {}, {}, RULE, Tolerances.parse(check or {}), {"latency": LATENCY}, {0: "stem=sps"}, {0: "g"})
    tolerance = found.allowed(KEY, 0.01)
    control = medians.control(KEY)
    sign = 1 if sum(control) > 0 else -1
    return dataclasses.replace(
        found,
        decisions={KEY: RULE.decide(medians.differences(KEY), tolerance)},
        controls={KEY: RULE.decide([sign * value for value in control], tolerance)},
    )


def test_a_slow_down_names_cell_phase_both_medians_with_interval_and_that_no_count_moved() -> None:
    moves = Work({"g": []}, "this version of spikebench has no harness `work`")
    (judgement,) = dataclasses.replace(times(1.1), work=moves).judgements()
    assert (judgement.outcome, judgement.gating, judgement.weak) == ("fail", True, False)
    message = judgement.message
    assert message.startswith(
        "stem=sps: latency{batch_size=8, phase=training}: slower: 9.99 ms (9.97 to 10.17) -> 10.99 ms (10.98 to 11.03), +9.7 % ("
    )
    assert "(99.5 % interval +8.6 to +10.8 %, 10 rounds)" in message
    assert "allowed: 5 %" in message
    assert "its work was not counted: this version" in message
    assert judgement.old == pytest.approx(0.01, rel=0.02)
    assert judgement.new == pytest.approx(0.011, rel=0.02)


def test_equal_code_passes_and_a_floor_lets_a_slow_down_of_tiny_jobs_pass() -> None:
    assert times().judgements()[0].outcome == "pass"
    assert "not slower" in times().judgements()[0].message
    assert times(1.07, check={"latency": "5% and 2 ms"}).judgements()[0].outcome == "pass"
    assert times(1.3, check={"latency": "5% and 2 ms"}).judgements()[0].outcome == "fail"


@pytest.mark.parametrize("again", [0.8, 1.25])
def test_a_failed_control_makes_every_verdict_inconclusive_and_is_told(again: float) -> None:
    (judgement,) = times(1.3, again=1.3 * again).judgements()
    assert judgement.outcome == "inconclusive"
    assert "the control failed: this side against itself differs by" in judgement.message


def test_what_cannot_be_told_says_what_could_be_found() -> None:
    (judgement,) = times(1.026, spread=0.03).judgements()
    assert judgement.outcome == "inconclusive"
    assert "10 rounds with this spread find slow-downs from" in judgement.message


def test_what_was_not_decided_is_inconclusive_with_the_reason() -> None:
    (judgement,) = dataclasses.replace(
        times(), decisions={}, controls={}, ended="the time given was up after 4 rounds"
    ).judgements()
    assert (judgement.outcome, judgement.interval) == ("inconclusive", None)
    assert "the time given was up after 4 rounds" in judgement.message


def test_the_power_of_the_rounds_is_told_in_a_table() -> None:
    table = times().power()
    row = dict(zip([column.key for column in table.columns], table.rows[0].cells, strict=True))
    assert row["pairs"].value == 10
    assert 0.02 < row["finds"].value < 0.05
    assert abs(row["control"].value) < 0.01


def frame(make_cell, calls: Mapping[str, int], moved: int) -> Frame:
    cell = make_cell()
    ids = {"cell_id": cell["cell_id"], "job_id": "j", "machine_id": "m", "source_id": "s"}
    ways = {"batch_size": 8, "phase": "training"}
    records = [
        Record("aten_calls", sum(calls.values()), "1", kind="counted", conditions=ways, **ids),
        *(Record("aten_calls", n, "1", kind="counted", scope=layer, conditions=ways, **ids) for layer, n in calls.items()),
        Record("bytes_moved", moved, "B", kind="counted", conditions=ways, **ids),
        Record("aten_calls", 5, "1", kind="counted", conditions={**ways, "phase": "inference"}, **ids),
        Record("allocations", None, "1", status="unavailable", reason="none here", conditions=ways, **ids),
    ]
    metrics = {metric.name: metric for metric in (CALLS, BYTES, dataclasses.replace(CALLS, name="allocations"))}
    return Frame(records, {cell["cell_id"]: cell}, metrics=metrics)


def test_the_count_and_the_layer_that_moved_with_a_time_are_named(make_cell) -> None:
    old = frame(make_cell, {"stem.0": 10, "blocks.0.mlp": 20}, 4096)
    new = frame(make_cell, {"stem.0": 11, "blocks.0.mlp": 29}, 4096)
    group = make_cell()["group_id"]
    found = work(old, new)
    said = found.behind(group, KEY, slower=True)
    assert said == "with it moved ATen calls 30 -> 40 (+33.3 %), most in blocks.0.mlp (20 -> 29)"
    assert found.behind(group, KEY, slower=False) == "no count of its work moved with it (ATen calls, Bytes moved are equal)"
    assert "no count of this way" in found.behind(group, Key(0, "latency", (("batch_size", "1"),)), slower=True)
    assert work(old, old).behind(group, KEY, slower=True).startswith("no count of its work moved")
