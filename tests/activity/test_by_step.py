"""Events by time step: a network looks at no later step, so what it does in its first steps is what it does if shown no more."""

from __future__ import annotations

from itertools import accumulate

import pytest
import torch
from torch import nn

import spikebench
from spikebench.activity import ActivityAnalysis
from spikebench.core.records import Record
from spikebench.derived.counted import counted
from spikebench.harnesses.activity import records_of
from tests.activity.lively import lively


def analysis(model: nn.Module, T: int) -> ActivityAnalysis:
    model.T = T
    torch.manual_seed(1)
    return spikebench.count(model, torch.rand(3, 1, 8, 8))


@pytest.mark.parametrize(
    "changes", [{}, {"stem": "scs", "attention": "softmax"}, {"stem": "spikingformer", "residual": "membrane"}]
)
def test_the_first_steps_are_those_of_a_shorter_run(changes: dict[str, str]) -> None:
    model = lively(**changes)
    runs = {T: analysis(model, T) for T in (1, 2, 4)}
    compared = 0
    for site in runs[4].sites:
        steps = runs[4].events_by_step(site.site)
        if not site.synaptic or steps is None:
            continue
        sums = list(accumulate(steps))
        for T, run in runs.items():
            (same,) = [
                row for row in run.sites if (row.scope, row.operation, row.site) == (site.scope, site.operation, site.site)
            ]
            assert sums[T - 1] == same.events, (site.scope, T)
        compared += 1
    # All but the head, which runs once behind the mean over time.
    assert compared == sum(site.synaptic for site in runs[4].sites) - 1


def test_two_passes_add_up_and_a_foreign_network_says_nothing() -> None:
    model = lively()
    model.T = 4
    with torch.no_grad(), spikebench.activity.ActivityObserver(model) as observer:
        model(torch.rand(3, 1, 8, 8))
        model(torch.rand(2, 1, 8, 8))
    found = observer.analysis
    for site in found.sites:
        steps = found.events_by_step(site.site)
        assert steps is None or (len(steps) == 4 and sum(steps) == site.events)
    records = list(records_of(found, model))
    by_step = [r for r in records if r.metric == "events_by_step"]
    (job,) = counted(records)
    assert by_step
    assert all(sum(steps.values()) * 5 == pytest.approx(found.sites[place].events) for place, steps in _by_place(job, found))
    assert not [r for r in records_of(found, nn.Sequential(nn.Linear(2, 2))) if r.metric == "events_by_step"]
    assert isinstance(by_step[0], Record)


def _by_place(job: object, found: ActivityAnalysis) -> list[tuple[int, dict[int, float]]]:
    order = {site.site: index for index, site in enumerate(found.sites)}
    return [(order[place], steps) for place, steps in job.events_by_step.items()]  # type: ignore[attr-defined]
