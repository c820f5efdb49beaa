"""The first words of a report: what they say, and that they say it only where the numbers do."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from spikebench.reading.reports.document import Text
from spikebench.reading.reports.sections import comparison, effects
from spikebench.reading.reports.sections.answer import Section
from spikebench.reading.reports.verdict import _rounded
from tests.reading.conftest import SUITE


def right(fraction, seed=0, images=360):
    """Exactly so many right, at random places."""
    return (np.random.default_rng(seed).permutation(images) < round(fraction * images)).astype(int).tolist()


def altered(fractions=None, events=None):
    """Accuracy by (stem, attention), the same images wrong for the same stem and seed; events by (stem, attention)."""

    def alter(one, record):
        key = (one["variant"]["stem"], one["variant"]["attention"])
        if record.metric == "accuracy" and fractions is not None and record.conditions["T"] == 4:
            samples = right(fractions[key], seed=one["seed"])
            return dataclasses.replace(record, value=sum(samples) / 360, samples=samples)
        if record.metric == "events" and events is not None and not record.scope:
            return dataclasses.replace(record, value=round(events[key] * (1 + 0.001 * one["seed"])))
        return record

    return alter


NO_BASELINE = SUITE[: SUITE.index("report:")]
KEYS = [(s, a) for s in ("sps", "scs") for a in ("ssa", "softmax")]
FLAT = dict.fromkeys(KEYS, 0.95)


def said(frame):
    blocks = Section()(frame)
    assert all(isinstance(block, Text) for block in blocks)
    return [block.text for block in blocks]


def test_the_question_comes_first_and_then_a_paragraph_for_each_factor(grid, make_frame):
    question, overall, stem, attention = said(make_frame(grid, altered(FLAT)))
    assert question == "Does the convolutional stem still help when attention is softmax?"
    assert overall.startswith("Highest accuracy 95.00 ± ")
    assert stem.startswith("Stem: ")
    assert attention.startswith("Attention: ")


def test_a_clear_difference_is_told_with_its_interval_and_p(grid, make_frame):
    fractions = {key: 0.97 if key[0] == "scs" else 0.85 for key in KEYS}
    stem = next(text for text in said(make_frame(grid, altered(fractions))) if text.startswith("Stem"))
    assert "scs is better than sps in accuracy: difference 11.9 pp, 95 % interval " in stem
    assert "p < 0.001" in stem


def test_what_cannot_be_told_says_how_many_seeds_would_help(make_cell, make_frame):
    """Two points between seeds and none between the variants: two seeds tell nothing."""

    def alter(one, record):
        if record.metric != "accuracy" or record.conditions["T"] != 4:
            return record
        swing = 0.01 * (-1) ** one["seed"] * (1 if one["variant"]["stem"] == "scs" else -1)
        samples = right(0.9 + swing, seed=one["seed"] + 10 * (one["variant"]["stem"] == "scs"), images=10_000)
        return dataclasses.replace(record, value=sum(samples) / 10_000, samples=samples)

    frame = make_frame([make_cell(seed, stem=s) for seed in (0, 1) for s in ("sps", "scs")], alter)
    text = " ".join(said(frame))
    assert "cannot be told apart in accuracy with 2 seeds (scs 0.00 pp" in text
    assert "seeds would give ± 1 pp" in text
    assert "better" not in text


def test_few_images_are_not_cured_by_seeds(make_cell, make_frame):
    """What differs between the variants is which images they get right, the same ones with each seed."""

    def alter(one, record):
        if record.metric != "accuracy" or record.conditions["T"] != 4:
            return record
        samples = right(0.9, seed=7 if one["variant"]["stem"] == "scs" else 8)
        return dataclasses.replace(record, value=sum(samples) / 360, samples=samples)

    text = " ".join(said(make_frame([make_cell(seed, stem=s) for seed in (0, 1, 2) for s in ("sps", "scs")], alter)))
    assert "it takes more test images, and not seeds alone, to know it to ± 1 pp" in text


def test_costs_are_told_as_ratios(grid, make_frame):
    events = {key: 900_000 if key[0] == "scs" else 1_000_000 for key in KEYS}
    stem = next(text for text in said(make_frame(grid, altered(FLAT, events))) if text.startswith("Stem"))
    assert "scs takes 10.0 % fewer SOPs than sps (95 % interval 10.0 to 10.0 %, p < 0.001)" in stem  # as the tables have it
    events = {key: 4_000_000 if key[1] == "softmax" else 1_000_000 for key in KEYS}
    attention = next(text for text in said(make_frame(grid, altered(FLAT, events))) if text.startswith("Attention"))
    assert "softmax takes 4 times the SOPs than ssa" not in attention
    assert "softmax takes 4 times the SOPs of ssa" in attention


def test_what_cannot_be_told_of_costs_has_the_sign_of_the_tables(grid, make_frame):
    """From the reference: a tenth fewer is eleven per cent more the other way round."""
    rng = np.random.default_rng(1)
    alter = altered(FLAT, dict.fromkeys(KEYS, 1_000_000))

    def spread(one, record):
        record = alter(one, record)
        if record.metric != "events" or record.scope:
            return record
        mean = 900_000 if one["variant"]["stem"] == "scs" else 1_000_000
        return dataclasses.replace(record, value=round(mean * np.exp(0.2 * rng.standard_normal())))

    frame = make_frame(grid, spread)
    stem = next(text for text in said(frame) if text.startswith("Stem"))
    table = effects.Section()(frame)[0]
    (change,) = [row.cells[7].value for row in table.rows if (row.cells[0].text, row.cells[3].text) == ("stem", "")]
    words = f"(scs {100 * change:+.1f} %, 95 % interval ".replace("-", "\N{MINUS SIGN}")
    assert words in stem
    low, high = interval(stem[stem.index(words) :])
    # Of ratios: as far below as above, where it is counted in logarithms.
    assert low < 100 * change < high
    assert (1 + low / 100) * (1 + high / 100) == pytest.approx((1 + change) ** 2, rel=0.01)


def interval(text):
    """The first one that the text gives."""
    found = re.search(r"95 % interval (\S+) to ([^\s;,).]+(?:\.\d+)?)", text)
    return [float(end.replace("\N{MINUS SIGN}", "-")) for end in found.groups()]


def test_networks_that_learned_nothing_are_named(make_cell, make_frame):
    """Few operations of a network that is silent are no merit."""

    def alter(one, record):
        dead = one["variant"]["stem"] == "scs"
        if record.metric == "firing_rate" and record.scope and dead:
            return dataclasses.replace(record, value=0.0)
        if record.metric == "accuracy" and record.conditions["T"] == 4:
            samples = right(0.1 if dead else 0.95, seed=one["seed"])
            return dataclasses.replace(record, value=sum(samples) / 360, samples=samples)
        return record

    for seeds in ((0,), (0, 1)):
        last = said(make_frame([make_cell(seed, stem=s) for seed in seeds for s in ("sps", "scs")], alter))[-1]
        assert last.startswith("No better than guessing: scs. Neuron layers that never fire: in scs;")
        first = said(make_frame([make_cell(seed, stem=s) for seed in seeds for s in ("sps", "scs")], alter))[1]
        if len(seeds) == 1:
            # scs takes fewer operations here: of a network that guesses that is no merit.
            assert "of sps among those that do better than guessing" in first
    assert "guessing" not in " ".join(said(make_frame([make_cell(0, stem=s) for s in ("sps", "scs")])))


def test_a_variant_alone_is_not_called_by_its_data_set(make_cell, make_frame):
    def alter(one, record):
        if record.metric == "firing_rate" and record.scope:
            return dataclasses.replace(record, value=0.0)
        return altered(dict.fromkeys(KEYS, 0.1))(one, record)

    *_, last = said(make_frame([make_cell(0)], alter))
    assert last.startswith("It is no better than guessing. It has neuron layers that never fire; ")


def test_no_factor_is_cheap_by_a_network_that_learned_nothing(make_cell, make_frame):
    fractions = {"ssa": 0.1, "softmax": 0.95, "relu": 0.94}
    takes = {"ssa": 1_000, "softmax": 900_000, "relu": 1_000_000}

    def alter(one, record):
        attention = one["variant"]["attention"]
        if record.metric == "accuracy" and record.conditions["T"] == 4:
            samples = right(fractions[attention], seed=one["seed"])
            return dataclasses.replace(record, value=sum(samples) / 360, samples=samples)
        if record.metric == "events" and not record.scope:
            return dataclasses.replace(record, value=round(takes[attention] * (1 + 0.001 * one["seed"])))
        return record

    text = " ".join(said(make_frame([make_cell(s, attention=a) for s in (0, 1, 2) for a in fractions], alter, suite=NO_BASELINE)))
    assert "of softmax among those that do better than guessing; the other is worse." in text
    assert "ssa has the lowest" not in text
    assert "relu takes 11.1 % more SOPs than softmax" in text
    assert "No better than guessing: ssa." in text


@pytest.mark.parametrize("seeds", [(0,), (0, 1, 2)])
def test_where_all_guess_nothing_is_praised(seeds, make_cell, make_frame):
    frame = make_frame([make_cell(seed, stem=s) for seed in seeds for s in ("sps", "scs")], altered(dict.fromkeys(KEYS, 0.1)))
    _, *answer = said(frame)
    assert answer == ["No variant can be told from guessing, so that nothing is said of which is better or cheaper."]


def test_what_cannot_be_told_of_accuracy_has_the_sign_of_the_tables_too(make_cell, make_frame):
    """sps is the reference, and a little better: scs has the minus, in the sentence as in the table."""
    fractions = {key: 0.955 if key[0] == "sps" else 0.95 for key in KEYS}
    for baseline in ("sps", "scs"):
        suite = SUITE.replace("{stem: sps, attention: ssa}}", f"{{stem: {baseline}}}}}")
        frame = make_frame([make_cell(s, stem=stem) for s in (0, 1) for stem in ("sps", "scs")], altered(fractions), suite=suite)
        text = " ".join(said(frame))
        (table,) = comparison.Section()(frame)
        place = [column.key for column in table.columns].index("accuracy:difference")
        (change,) = [row.cells[place].value for row in table.rows if not row.marked]
        other = "scs" if baseline == "sps" else "sps"
        assert (change < 0) == (other == "scs")
        signed = f"{100 * change:+.2f}".replace("-", "\N{MINUS SIGN}")
        assert f"{baseline} and {other} " in text
        assert f"({other} {signed} pp, 95 % interval " in text
        low, high = interval(text)
        assert low < 100 * change < high
        assert high - 100 * change == pytest.approx(100 * change - low, abs=0.11)


def test_no_more_digits_of_seeds_than_are_known():
    assert [_rounded(seeds) for seeds in (7, 99, 101, 179, 1234)] == [7, 99, 100, 180, 1200]


def test_an_average_that_hides_an_interaction_says_so(grid, make_frame):
    fractions = {("sps", "ssa"): 0.95, ("scs", "ssa"): 0.97, ("sps", "softmax"): 0.7, ("scs", "softmax"): 0.97}
    stem = next(text for text in said(make_frame(grid, altered(fractions))) if text.startswith("Stem"))
    assert "How much depends on attention." in stem
    table = effects.Section()(make_frame(grid, altered(fractions)))[0]
    words = [(row.cells[0].text, row.cells[3].text, row.cells[6].text) for row in table.rows]
    assert ("stem", "", "better") in words
    assert ("stem", "attention: softmax instead of ssa", "more") in words


def test_one_seed_says_nothing_of_others(make_cell, make_frame):
    text = " ".join(said(make_frame([make_cell(0, stem=s) for s in ("sps", "scs")])))
    assert "nothing can be said of other seeds" in text
    assert "better" not in text
    assert "cannot be told" not in text


def test_one_variant_has_nothing_to_be_compared_with(make_cell, make_frame):
    assert "One variant, and nothing to compare it with: accuracy " in " ".join(said(make_frame([make_cell(0), make_cell(1)])))


def test_no_difference_is_called_one_in_at_most_one_of_twenty_reports(make_cell, make_frame):
    """Four equal variants of two seeds, images of their own: words that claim a difference are wrong."""
    cells = [make_cell(seed, stem=s, attention=a) for seed in (0, 1) for s, a in KEYS]
    rng = np.random.default_rng(0)

    def random(one, record):
        if record.metric == "events":
            return dataclasses.replace(record, value=round(1e6 * (1 + 0.02 * rng.standard_normal())))
        if record.metric != "accuracy" or record.conditions["T"] != 4:
            return record if record.metric == "parameters" else None
        samples = (rng.random(360) < 0.9).astype(int).tolist()
        return dataclasses.replace(record, value=sum(samples) / 360, samples=samples)

    claims = 0
    for _ in range(60):
        text = " ".join(said(make_frame(cells, random))[2:])
        claims += "better" in text or "takes" in text.replace("it takes", "")
    assert claims <= 8  # two quantities at 5 % each: more than 8 of 60 has a chance of 1 in 100


@pytest.mark.parametrize("p", [0.2, 0.012, 0.0001])
def test_p_values_are_spelled(p):
    from spikebench.derived.crossed import Contrast
    from spikebench.reading.model.paired import Difference
    from spikebench.reading.reports.verdict import _p

    spelled = _p(Difference(0.1, 0.0, 0.2, 2, p, Contrast(0.1, 2, 1.0, 1.0)))
    assert spelled == {0.2: "p = 0.2", 0.012: "p = 0.012", 0.0001: "p < 0.001"}[p]
