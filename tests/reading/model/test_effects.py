"""Main effects and interactions against plain averages over the grid."""

from __future__ import annotations

import math
from itertools import product
from statistics import fmean

import numpy as np
import pytest

from spikebench.core.records import Record
from spikebench.reading.model.effects import Design
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.paired import Paired
from spikebench.reading.model.suite_facts import SuiteFacts
from spikebench.reading.model.summary import quantities
from spikebench.reading.reports.columns import summaries

SEEDS = (0, 1, 2)


def frame_of(make_cell, metrics, value, cells):
    """``value(variant, seed)`` of each of ``cells``, which are (stem, attention, T)."""
    made = [make_cell(seed, stem=s, attention=a, T=t) for s, a, t in cells for seed in SEEDS]
    records = [Record("events", value(one["variant"], one["seed"]), "1", "counted", cell_id=one["cell_id"]) for one in made]
    suite = SuiteFacts(baseline={"stem": "sps", "attention": "ssa", "T": 1})
    return Frame(records, {one["cell_id"]: one for one in made}, suite=suite, metrics=metrics)


def design_of(frame):
    everything = quantities(frame)
    (quantity,) = everything
    rows = summaries(frame, list(frame.groups), everything[quantity])
    return Design(frame, list(frame.groups)), Paired(frame.metric("events"), rows)


@pytest.fixture
def metrics(frame):
    return frame._metrics


CELLS = list(product(("sps", "scs"), ("ssa", "softmax", "relu"), (1, 4)))


def noisy(rng):
    known = {}

    def value(variant, seed):
        key = (variant["stem"], variant["attention"], variant["T"], seed)
        return known.setdefault(key, math.exp(rng.normal(10, 1)))

    return value, known


def test_a_main_effect_is_the_mean_over_the_rest_of_the_grid(make_cell, metrics):
    value, known = noisy(np.random.default_rng(0))
    design, paired = design_of(frame_of(make_cell, metrics, value, CELLS))
    effect = design.main("stem", "scs", "sps", paired)
    rest = list(product(("ssa", "softmax", "relu"), (1, 4), SEEDS))
    logs = fmean(math.log(known["scs", *one] / known["sps", *one]) for one in rest)
    assert effect.difference.change == pytest.approx(math.expm1(logs))
    assert (effect.over, effect.difference.n) == (6, 3)


def test_an_interaction_is_by_how_much_an_effect_is_another_elsewhere(make_cell, metrics):
    value, known = noisy(np.random.default_rng(1))
    design, paired = design_of(frame_of(make_cell, metrics, value, CELLS))
    found = next(e for e in design.interactions(paired) if e.factor == "stem" and e.given == ("attention", "relu", "ssa"))
    logs = fmean(
        math.log(known["scs", "relu", t, s] / known["sps", "relu", t, s])
        - math.log(known["scs", "ssa", t, s] / known["sps", "ssa", t, s])
        for t, s in product((1, 4), SEEDS)
    )
    assert found.difference.change == pytest.approx(math.expm1(logs))
    assert (
        len(design.interactions(paired)) == 2 + 1 + 2
    )  # of the levels beyond the reference: stem x attention, x T, attention x T


def test_what_multiplies_has_no_interaction_and_what_does_not_has_one(make_cell, metrics):
    def value(variant, seed):
        extra = 1.5 if variant["stem"] == "scs" and variant["T"] == 4 else 1.0
        return 1000 * variant["T"] * (2 if variant["stem"] == "scs" else 1) * extra * (1 + 0.001 * seed)

    design, paired = design_of(frame_of(make_cell, metrics, value, CELLS))
    changes = {(e.factor, e.given): e.difference.change for e in design.interactions(paired)}
    assert changes["stem", ("attention", "relu", "ssa")] == pytest.approx(0, abs=1e-12)
    (other,) = [change for (factor, given), change in changes.items() if {factor, given[0]} == {"stem", "T"}]
    assert other == pytest.approx(0.5)


def test_of_a_grid_with_holes_the_combinations_that_have_both_are_taken(make_cell, metrics):
    value, known = noisy(np.random.default_rng(2))
    cells = [cell for cell in CELLS if cell not in (("scs", "ssa", 1), ("sps", "relu", 4))]
    design, paired = design_of(frame_of(make_cell, metrics, value, cells))
    effect = design.main("stem", "scs", "sps", paired)
    assert effect.over == 4
    rest = [one for one in product(("ssa", "softmax", "relu"), (1, 4)) if one not in (("ssa", 1), ("relu", 4))]
    logs = fmean(math.log(known["scs", *one, s] / known["sps", *one, s]) for one in rest for s in SEEDS)
    assert effect.difference.change == pytest.approx(math.expm1(logs))


def test_factors_that_only_change_together_have_no_effect_of_their_own(make_cell, metrics):
    value, _ = noisy(np.random.default_rng(3))
    design, paired = design_of(frame_of(make_cell, metrics, value, [("sps", "ssa", 1), ("scs", "softmax", 1)]))
    assert design.effects(paired) == []
