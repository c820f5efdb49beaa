"""What a process of a side does with an order to time: in turns where it is asked to and can, else alone."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from spikebench.harnesses._latency import heat
from spikebench.harnesses._timing import turns
from spikebench.running.pairs import _child

SUITE = """
suite: speed
dataset: digits
variants: {base: {preset: spikformer-2-64, dim: 16, depth: 1, num_heads: 2, T: 1}}
train: none
measure: [{latency: {batch_sizes: [1], phases: [inference, training]}}]
"""


@pytest.fixture
def time_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    monkeypatch.setattr(turns, "_turns", None)
    monkeypatch.setattr(heat, "WINDOW_SECONDS", 0.002)

    def run(abreast: bool, hand_over: Callable[[], None]) -> dict[str, Any]:
        order = {
            "jobs": [[0, 0]], "window": 0.1, "abreast": abreast, "text": SUITE, "suite": "s.yaml", "folder": str(tmp_path),
            "hand_over": hand_over,
        }  # fmt: skip
        return _child._time(order)

    return run


def test_abreast_every_quantity_has_a_time_for_every_turn(time_it: Callable[..., dict[str, Any]]) -> None:
    handed: list[None] = []
    answer = time_it(True, lambda: handed.append(None))
    assert answer["failures"] == {}
    times = {conditions["phase"]: values for _, metric, conditions, values in answer["times"] if metric == "latency"}
    assert set(times) == {"inference", "training"}
    assert sum(map(len, times.values())) == len(handed)
    assert all(len(values) >= 3 and min(values) > 0 for values in times.values())


def test_alone_it_never_waits_and_gives_one_median(time_it: Callable[..., dict[str, Any]]) -> None:
    answer = time_it(False, lambda: pytest.fail("nobody asked for turns"))
    assert [len(values) for *_, values in answer["times"]] == [1, 1]


def test_a_version_that_knows_no_turns_is_timed_alone(
    time_it: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spikebench.harnesses._timing.turns", None)
    monkeypatch.delattr("spikebench.harnesses._timing.turns")
    answer = time_it(True, lambda: pytest.fail("it knows no turns"))
    assert [len(values) for *_, values in answer["times"]] == [1, 1]
