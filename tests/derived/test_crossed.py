"""Coverage by simulation, closed forms where there are some, and scipy's tests where they apply."""

import math
import statistics as stdlib

import numpy as np
import pytest
from scipy import stats

from spikebench.derived import statistics
from spikebench.derived.crossed import Crossed, holm
from spikebench.derived.moderation import sample_variance, weight_of

IMAGES = 359


def accuracies(rng, accuracy, seeds, seed_effect, images=IMAGES, hardness=1.5, common=0.0):
    """(variants, seeds, images) of 0 and 1: hard images are hard for all; ``seed_effect`` moves a whole network, ``common`` all
    networks of a seed.
    """
    variants = len(accuracy)
    spread = np.sqrt(1 + hardness**2 + 0.5**2 + seed_effect**2 + common**2)
    middle = stats.norm.ppf(accuracy)[:, None, None] * spread
    shared, own = rng.normal(0, hardness, (1, 1, images)), rng.normal(0, 0.5, (variants, 1, images))
    moved = rng.normal(0, 1, (variants, seeds, 1)) * seed_effect + rng.normal(0, 1, (1, seeds, 1)) * common
    return (middle + shared + own + moved + rng.normal(0, 1, (variants, seeds, images)) > 0).astype(float)


def crossed(answers):
    names = [str(index) for index in range(len(answers))]
    values = {name: dict(enumerate(rows.mean(axis=1).tolist())) for name, rows in zip(names, answers, strict=True)}
    return Crossed(values, {name: dict(enumerate(rows)) for name, rows in zip(names, answers, strict=True)})


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(
    ("accuracy", "seed_effect"), [((0.98, 0.98, 0.97, 0.985), 0.0), ((0.9, 0.88, 0.92, 0.85), 0.15)], ids=["digits", "harder"]
)
def test_intervals_of_accuracies_cover_and_are_no_wider_than_need_be(seeds, accuracy, seed_effect):
    """Means, differences, main effects and interactions of a 2 x 2 grid. The oracle knows every variance."""
    rng, rounds = np.random.default_rng([seeds, int(100 * accuracy[0])]), 300
    weights = [{"0": 1.0}, {"2": 1.0}, {"1": 1, "0": -1}, {"3": 1, "2": -1}]
    weights += [{"0": -0.5, "1": -0.5, "2": 0.5, "3": 0.5}, {"0": 1, "1": -1, "2": -1, "3": 1}]
    truth = [sum(w * accuracy[int(name)] for name, w in row.items()) for row in weights]
    found = [
        [table.contrast(row).interval() for row in weights]
        for table in (crossed(accuracies(rng, accuracy, seeds, seed_effect)) for _ in range(rounds))
    ]
    covered = np.mean([[not i.excludes(t) for i, t in zip(row, truth, strict=True)] for row in found])
    oracle = 1.96 * np.std([[i.estimate for i in row] for row in found], axis=0)
    width = np.mean([[i.half_width for i in row] for row in found], axis=0) / oracle
    assert covered >= 0.93
    assert width.mean() <= 1.5


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize(
    ("accuracy", "own", "common"),
    [((0.98, 0.97), 0.1, 0.0), ((0.9, 0.88), 0.2, 0.0), ((0.98, 0.97), 0.1, 0.3), ((0.9, 0.88), (0.1, 0.2), 0.0)],
    ids=["digits", "harder", "a seed moves both alike", "a seed moves one more"],
)
def test_two_variants_alone_cover_and_are_no_wider_than_two_degrees_of_freedom_cost(seeds, accuracy, own, common):
    """1.94 is the mean width of a t interval with two degrees of freedom, in oracles; what a seed does to both is not known to
    be the same, and costs width alone.
    """
    rng = np.random.default_rng(seeds)
    answers = [accuracies(rng, accuracy, seeds, np.reshape(own, (-1, 1, 1)), common=common) for _ in range(500)]
    found = [crossed(rows).difference("1", "0").interval() for rows in answers]
    assert np.mean([not i.excludes(accuracy[1] - accuracy[0]) for i in found]) >= 0.93
    if not common:
        oracle = 1.96 * np.std([i.estimate for i in found])
        halves = [i.half_width for i in found]
        assert np.mean(halves) <= (1.94 if seeds == 2 else 1.5) * oracle
        assert np.median(halves) <= (1.7 if seeds == 2 else 1.5) * oracle


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("spread", ["alike", "different", "two variants"])
def test_intervals_of_numbers_without_images_cover(seeds, spread):
    """Logarithms of operations, say. Spreads that differ by a factor of two learn less from each other."""
    rng, rounds = np.random.default_rng(seeds), 400
    variants = 2 if spread == "two variants" else 6
    hits = widths = 0.0
    for _ in range(rounds):
        sd = np.exp(rng.normal(0, 0.5, variants)) if spread == "different" else np.ones(variants)
        y = rng.normal(0, 1, (variants, seeds)) * sd[:, None] + rng.normal(0, 0.5, (1, seeds))
        table = Crossed({str(i): dict(enumerate(row)) for i, row in enumerate(y.tolist())})
        rows = [(table.difference(str(i), "0"), 1.96 * math.hypot(sd[i], sd[0]) / math.sqrt(seeds)) for i in range(1, variants)]
        hits += np.mean([not c.interval().excludes(0) for c, _ in rows])
        widths += np.mean([c.interval().half_width / oracle for c, oracle in rows])
    assert hits / rounds >= 0.93
    if spread == "alike":
        assert widths / rounds <= 1.5


def test_means_of_numbers_cover_where_a_seed_moves_all_variants_alike():
    rng = np.random.default_rng(0)
    y = rng.normal(0, 0.5, (600, 6, 3)) + rng.normal(0, 1, (600, 1, 3))
    tables = [Crossed({str(i): dict(enumerate(row)) for i, row in enumerate(each)}) for each in y.tolist()]
    assert np.mean([not table.contrast({"0": 1.0}).interval().excludes(0) for table in tables]) >= 0.93


def test_equal_sums_of_two_seeds_are_not_certainty():
    rows = np.zeros((2, 2, IMAGES))
    rows[:, 0, 6:] = rows[:, 1, :-6] = 1  # each network has six errors, on other images
    table = crossed(rows)
    assert table.contrast({"0": 1.0}).interval().half_width > 0.007
    assert table.difference("1", "0").estimate == 0
    assert table.difference("1", "0").interval().half_width > 0.002


def test_networks_that_never_disagree_still_have_an_interval():
    table = crossed(np.ones((2, 3, IMAGES)))
    assert 0.001 < table.difference("1", "0").interval().half_width < 0.01


def test_one_seed_is_the_interval_of_agresti_and_min_and_says_that_it_is_of_images_alone():
    answers = accuracies(np.random.default_rng(1), (0.9, 0.8), 1, 0.0)
    contrast = crossed(answers).difference("1", "0")
    only_new, only_old = (int((a > b).sum()) for a, b in (answers[::-1, 0], answers[:, 0]))
    known = statistics.paired_fraction_interval(only_new, only_old, IMAGES)
    assert contrast.own
    assert contrast.interval().half_width == pytest.approx(known.half_width, rel=0.01)  # Student's t for 358 degrees
    assert contrast.seeds_for(0.01) is None


def test_two_variants_without_images_are_scipys_paired_t_test():
    new, old = [0.9, 0.8, 0.7, 0.75], [0.8, 0.6, 0.6, 0.7]
    contrast = Crossed({"new": dict(enumerate(new)), "old": dict(enumerate(old))}).difference("new", "old")
    test = stats.ttest_rel(new, old)
    assert contrast.p == pytest.approx(test.pvalue)
    assert contrast.interval().low == pytest.approx(test.confidence_interval(0.95).low)


def test_many_variants_without_images_are_the_analysis_of_variance_of_variants_and_seeds():
    """All spreads alike by construction, so the pooled one is used whole: scipy has no such table, a least squares fit has."""
    rng = np.random.default_rng(3)
    y = rng.normal(0, 1, (8, 3))
    y = y / y.std(axis=1, keepdims=True) + np.arange(8)[:, None]
    table = Crossed({str(i): dict(enumerate(row)) for i, row in enumerate(y.tolist())})
    design = np.zeros((24, 10))
    for row, (variant, seed) in enumerate(np.ndindex(8, 3)):
        design[row, variant] = 1
        if seed:
            design[row, 7 + seed] = 1
    solution, rest, *_ = np.linalg.lstsq(design, y.ravel(), rcond=None)
    error = math.sqrt(rest[0] / 14 * 2 / 3)
    found = table.difference("5", "0")
    assert found.estimate == pytest.approx(solution[5] - solution[0])
    assert found.interval().half_width == pytest.approx(stats.t.ppf(0.975, 14) * error)


def test_pairs_are_of_seeds_that_both_have():
    table = Crossed({"a": {0: 1.0, 1: 2.0, 7: 100.0}, "b": {1: 1.0, 0: 0.5, 9: -50.0}, "c": {5: 1.0}})
    assert (table.difference("a", "b").estimate, table.difference("a", "b").n) == (0.75, 2)
    with pytest.raises(ValueError, match="no shared seeds"):
        table.difference("a", "c")


def test_another_number_of_images_cannot_be_paired():
    rng = np.random.default_rng(0)
    values = {"a": {0: 0.9, 1: 0.8}, "b": {0: 0.7, 1: 0.6}}
    answers = {name: {seed: rng.random(10 + (name == "a")) < 0.5 for seed in (0, 1)} for name in values}
    alone = Crossed(values).difference("a", "b").interval()
    assert Crossed(values, answers).difference("a", "b").interval() == alone


def test_exact_numbers_have_an_interval_of_no_width():
    table = Crossed({"a": {0: 3.0, 1: 3.0}, "b": {0: 4.0, 1: 4.0}, "c": {0: 4.0, 1: 4.0}})
    assert table.difference("b", "a").interval().half_width == 0
    assert table.difference("b", "a").p == 0
    assert table.difference("b", "c").p == 1


def test_so_many_seeds_do_settle_it():
    """What is promised of the interval's half width, tried with that many seeds."""
    rng = np.random.default_rng(5)
    promised = [crossed(accuracies(rng, (0.9, 0.88, 0.9), 3, 0.15)).difference("1", "0").seeds_for(0.025) for _ in range(40)]
    n = int(np.median([seeds for seeds in promised if seeds is not None]))
    reached = [crossed(accuracies(rng, (0.9, 0.88, 0.9), n, 0.15)).difference("1", "0").interval().half_width for _ in range(40)]
    assert np.median(reached) == pytest.approx(0.025, rel=0.15)


def test_no_number_of_seeds_makes_few_images_tell_more():
    rng = np.random.default_rng(5)
    assert crossed(accuracies(rng, (0.9, 0.88, 0.9), 5, 0.0, images=100)).difference("1", "0").seeds_for(0.001) is None


def test_the_prior_degrees_of_freedom_are_found_again():
    """Variances drawn from Smyth's model: scaled inverse chi-squared with d0 degrees of freedom."""
    rng = np.random.default_rng(0)
    for d0 in (3.0, 10.0):
        true = d0 / rng.chisquare(d0, 4000)
        spreads = true * rng.chisquare(4, 4000) / 4
        assert weight_of(spreads.tolist(), [1.0] * 4000, 4) == pytest.approx(d0, rel=0.15)
    assert weight_of((rng.chisquare(4, 400) / 8).tolist(), [1.0] * 400, 4) > 20


def test_holm_is_the_step_down_of_its_paper():
    p = [0.01, None, 0.04, 0.03, 0.005]
    assert holm(p) == pytest.approx([0.03, None, 0.06, 0.06, 0.02])
    assert holm([]) == []
    # Of true hypotheses alone, some is rejected in at most one table of twenty.
    rng = np.random.default_rng(0)
    wrong = np.mean([min(holm(row)) < 0.05 for row in rng.random((2000, 6)).tolist()])
    assert stats.binomtest(int(wrong * 2000), 2000, 0.05, alternative="greater").pvalue > 1e-3


def test_draws_are_as_wide_as_the_interval_says():
    """With two seeds a normal draw would call certain what the interval leaves open."""
    table = Crossed({"a": {0: 1.0, 1: 1.1}, "b": {0: 1.3, 1: 1.35}})
    means, drawn = [table.mean(name).interval() for name in "ab"], table.draws(["a", "b"], 20_000)
    for mean, own in zip(means, drawn.T, strict=True):
        assert np.mean((own >= mean.low) & (own <= mean.high)) == pytest.approx(0.95, abs=0.01)
    assert np.mean(drawn[:, 0] < drawn[:, 1]) < 0.97


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_a_variance_is_that_of_fractions_and_zero_where_all_are_equal(scale):
    rng = np.random.default_rng(0)
    for n in (2, 3, 5, 100):
        values = (scale * (3 + rng.normal(size=n))).tolist()
        assert sample_variance(values) == pytest.approx(stdlib.variance(values), rel=1e-12)
        assert sample_variance([0.1 * scale] * n) == 0.0


def test_what_was_asked_for_once_is_the_same_in_any_order_of_asking():
    rng = np.random.default_rng(3)
    answers = accuracies(rng, (0.9, 0.8, 0.85, 0.7), 3, 0.2)
    weights = [{"0": 1.0}, {"1": 1, "0": -1}, {"0": -1, "1": 1}, {"0": 0.5, "1": 0.5, "2": -1}, {"2": 1.0, "3": 0.0}]
    together = crossed(answers)
    found = [together.contrast(row) for row in [*weights, *reversed(weights)]]
    alone = [crossed(answers).contrast(row) for row in [*weights, *reversed(weights)]]
    assert found == alone
