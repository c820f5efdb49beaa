"""Conventions pinned to the figures of references.md 7: one forward pass of Spikformer-4-384, every counter."""

from __future__ import annotations

import pytest

from spikebench.core.errors import InputError
from spikebench.derived.conventions import CONVENTIONS, macs_and_acs, operations, rules_of, total
from spikebench.derived.sites import Site, neuron_site

# The table of references.md 7, one row a group of layers. Rates that it does not print are left at events / dense MACs.
SITES = [
    Site(
        site=0, scope="stem.conv0", operation="conv2d", input="real", dense_macs=5_308_416, events=5_089_536, nonzero_fraction=1.0
    ),
    Site(
        site=1,
        scope="rest",
        operation="linear",
        input="binary",
        dense_macs=2_623_537_152,
        events=475_922_592,
        unit_acs=475_922_592,
    ),
    Site(
        site=2,
        scope="qkv",
        operation="linear",
        input="integer",
        dense_macs=1_056_964_608,
        events=529_139_712,
        unit_acs=896_148_864,
    ),
    Site(
        site=3,
        scope="attention",
        operation="matmul",
        input="binary x binary",
        dense_macs=25_165_824,
        events=1_790_542,
        events_left=5_923_072,
        unit_acs=1_790_542,
    ),
    Site(
        site=4,
        scope="attention",
        operation="matmul",
        input="integer x binary",
        dense_macs=25_165_824,
        events=5_103_260,
        events_left=16_969_632,
        events_right=5_474_752,
        unit_acs=18_240_137,
    ),
    Site(site=5, scope="bn", operation="batch_norm", other_ops=10_813_440),
    Site(site=6, scope="head", operation="linear", input="real", dense_macs=3_840, events=3_840, nonzero_fraction=1.0),
]


def millijoules(convention: str, **options: object) -> float:
    """Under 4.6 pJ a MAC and 0.9 pJ an accumulate."""
    macs, acs = macs_and_acs(SITES, convention, time_steps=4, **options)
    return (4.6 * macs + 0.9 * acs) * 1e-9


def test_dense_macs_by_hand() -> None:
    assert total(SITES, "dense") == 3_736_145_664


def test_counts_that_tools_report() -> None:
    mega = [round(part / 1e6, 1) for part in (*macs_and_acs(SITES, "spikingjelly"), *macs_and_acs(SITES, "neurobench"))]
    assert mega == [1067.7, 483.2, 534.2, 475.9]
    assert round(macs_and_acs(SITES, "syops").macs / 1e6, 1) == 1073.1


@pytest.mark.parametrize(
    ("expected", "convention", "options"),
    [
        (0.92, "events", {"real": "dense", "first_convolution": "once"}),
        (0.94, "events", {"real": "dense"}),
        (1.27, "events", {"real": "dense", "integers": "unit"}),
        (2.89, "neurobench", {}),
        (17.2, "dense", {}),
    ],
)
def test_energies_of_the_same_pass(expected: float, convention: str, options: dict[str, str]) -> None:
    assert millijoules(convention, **options) == pytest.approx(expected, abs=0.005 if expected < 10 else 0.05)


def test_one_sided_attention() -> None:
    products = SITES[3:5]
    assert total(products, "events") == 1_790_542 + 5_103_260
    assert total(products, "events", products="left") == 5_923_072 + 16_969_632
    assert total(products, "spikingjelly") == 1_790_542 + 5_474_752
    assert total(products, "unit") == 1_790_542 + 18_240_137
    assert total(products, "neurobench") == total(products, "syops") == 0


def test_a_product_of_real_values_needs_a_multiplier_unless_spikes_gate_it() -> None:
    def kinds(pair: str) -> tuple[float, float]:
        ops = macs_and_acs([Site(site=0, scope="", operation="matmul", input=pair, events=10, unit_acs=None)], "events")
        return ops.macs, ops.acs

    assert kinds("real x real") == kinds("integer x real") == (10, 0)
    assert kinds("real x binary") == kinds("integer x integer") == (0, 10)


def test_neurons_and_pooling_are_charged_by_syops_alone() -> None:
    rows = [neuron_site(0, "lif", 1000), Site(site=1, scope="pool", operation="pooling", other_ops=900, input_elements=400)]
    assert {name: total(rows, name) for name in CONVENTIONS} == {name: 1400 if name == "syops" else 0 for name in CONVENTIONS}


def test_only_the_first_convolution_and_only_if_real_is_shared_between_steps() -> None:
    spikes = [Site(site=0, scope="a", operation="conv2d", input="binary", dense_macs=8, events=8)]
    assert total(spikes, "events", time_steps=4, first_convolution="once") == 8
    assert total(SITES[:1], "events", time_steps=4, first_convolution="once") == 5_089_536 // 4


def test_rows_of_every_convention_sum_to_its_total() -> None:
    for name in CONVENTIONS:
        found = [ops for _, ops in operations(SITES, rules_of(name))]
        assert len(found) == len(SITES)
        assert sum(ops.macs + ops.acs for ops in found) == total(SITES, name)


@pytest.mark.parametrize(
    ("convention", "options", "message"),
    [
        ("event", {}, "unknown convention 'event'; did you mean 'events'?"),
        ("events", {"product": "left"}, "no option 'product'; did you mean 'products'?"),
        ("events", {"products": "middle"}, "products"),
    ],
)
def test_wrong_names(convention: str, options: dict[str, str], message: str) -> None:
    with pytest.raises(InputError) as caught:
        total(SITES, convention, **options)
    assert message in str(caught.value)
