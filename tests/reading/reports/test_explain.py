"""Every account sums to its whole, and the formula is the number."""

import re

import pytest

from spikebench.core.errors import InputError
from spikebench.core.records import Record
from spikebench.derived.conventions import CONVENTIONS
from spikebench.reading.model.frame import Frame, derive
from spikebench.reading.model.stages import merged, stage_of
from spikebench.reading.model.summary import is_whole
from spikebench.reading.reports.document import Figure, Number, Text
from spikebench.reading.reports.explain import explain, find_group

SITES = (  # scope, operation, input, dense, events, unit ACs
    ("stem.stages.0.conv", "conv2d", "real", 1000, 900, None),
    ("stem.stages.1.conv", "conv2d", "binary", 8000, 1200, 1200),
    ("blocks.0.attention.q.linear", "linear", "integer", 4000, 1000, 1700),
    ("blocks.0.attention", "matmul", "binary x binary", 500, 40, 40),
    ("blocks.0.attention", "matmul", "integer x binary", 500, 60, 90),
    ("blocks.0.mlp.fc1.linear", "linear", "integer", 16000, 4000, 6000),
    ("head.linear", "linear", "real", 640, 600, None),
)


@pytest.fixture
def frame(make_cell):
    """Two seeds; the second one's events are ten percent more."""
    cells = [make_cell(seed) for seed in (0, 1)]
    records = []
    for one in cells:
        ids = {"cell_id": one["cell_id"], "job_id": f"j{one['seed']}", "machine_id": "m", "source_id": "s"}
        factor = 1 + one["seed"] / 10
        total = {"dense_macs": 0, "events": 0.0, "unit_acs": 0.0}
        for site, (scope, operation, given, dense, events, unit) in enumerate(SITES):
            where = {"site": site, "operation": operation, "input": given, "known_by": "declared"}
            values = {"dense_macs": dense, "dense_macs_inside": dense, "events": events * factor}
            values |= {"unit_acs": None if unit is None else unit * factor, "nonzero_fraction": events / dense}
            if " x " in given:
                values |= {"events_left": 3 * events, "events_right": 2 * events}
            for name, value in values.items():
                if value is not None:
                    records.append(Record(name, value, "1", kind="counted", scope=scope, conditions=where, **ids))
                    if name in total:
                        total[name] += value
        records += [Record(name, value, "1", kind="counted", **ids) for name, value in total.items()]
        records.append(Record("time_steps", 4, "1", kind="counted", **ids))
    records += derive(records, ["spikformer-paper"])
    return Frame(records, {one["cell_id"]: one for one in cells})


def tables(document):
    return {table.key: table for table in document.tables()}


def whole(frame, metric):
    values = [r.value for r in frame.records if r.metric == metric and not r.scope]
    return sum(values) / len(values)


@pytest.mark.parametrize("metric", ["energy", "events", "dense_macs"])
def test_stages_kinds_and_layers_each_sum_to_the_whole(frame, metric):
    found = tables(explain(frame, metric))
    for key in ("stages", "kinds"):
        *parts, total = [next(cell.value for cell in row.cells if isinstance(cell, Number)) for row in found[key].rows]
        assert sum(parts) == pytest.approx(whole(frame, metric))
        assert total == pytest.approx(whole(frame, metric))
    layers = [next(cell.value for cell in row.cells if isinstance(cell, Number)) for row in found["layers"].rows]
    assert sum(layers) == pytest.approx(whole(frame, metric))
    assert len(layers) == len(SITES)


def test_the_formula_gives_the_number(frame):
    text = next(block.text for block in explain(frame).blocks if isinstance(block, Text) and block.text.startswith("E ="))
    terms = re.findall(r"([\d.]+) pJ × ([\d,]+)", text)
    assert len(terms) == 2
    total = sum(float(joules) * 1e-12 * float(count.replace(",", "")) for joules, count in terms)
    assert total == pytest.approx(whole(frame, "energy"), rel=1e-3)
    # 4.6 pJ x (dense first convolution and head) + 0.9 pJ x all other events, mean of two seeds: by hand.
    assert whole(frame, "energy") == pytest.approx(4.6e-12 * 1640 + 0.9e-12 * 6300 * 1.05)


def test_stages_are_told_by_the_path(frame):
    rows = {row.cells[0].text: row.cells[1].value for row in tables(explain(frame, "dense_macs"))["stages"].rows}
    assert rows == {"stem": 9000, "attention": 5000, "MLP": 16000, "head": 640, "sum": 30640}


def test_every_convention_has_its_bar_and_its_numbers(frame):
    document = explain(frame)
    figure = next(block for block in document.blocks if isinstance(block, Figure))
    rows = {row.cells[0].text: [cell.value for cell in row.cells[1:]] for row in figure.data.rows}
    assert set(rows) == set(CONVENTIONS) == set(figure.ticks)
    assert rows["dense"][:2] == [30640, 0]
    assert rows["unit"][1] == pytest.approx(1.05 * (1200 + 1700 + 40 + 90 + 6000))
    assert rows["events"][2] == pytest.approx(whole(frame, "energy"))
    assert [figure.series[0].y[i] <= figure.series[0].y[i + 1] for i in range(len(rows) - 1)] == [True] * (len(rows) - 1)


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("accuracy", "was not recorded"),
        ("time_steps", "is no sum over layers"),
        ("energy{profile=nope}", "was not recorded"),
        ("evnts", "did you mean 'events'"),
    ],
)
def test_what_cannot_be_explained_is_one_clear_error(frame, metric, message):
    with pytest.raises(InputError, match=message):
        explain(frame, metric)


def test_groups_are_found_by_factors_id_or_alone(make_frame, make_cell):
    cells = [make_cell(0, stem=stem, T=T) for stem in ("sps", "scs") for T in (1, 4)]
    frame = make_frame(cells, suite="suite: s")
    assert find_group(frame, cells[3]["group_id"]) == cells[3]["group_id"]
    assert find_group(frame, "stem=scs T=4") == find_group(frame, "stem=scs,T=4") == cells[3]["group_id"]
    for wrong, message in (
        (None, "--group"),
        ("stem=scs", "fits 2"),
        ("scs", "factors like"),
        ("stem=", "factors like"),
        ("", "factors like"),
        (" ", "factors like"),
        ("stm=sps", "unknown factor 'stm'; did you mean 'stem'"),
        ("t=4", "unknown factor 't'; did you mean 'T'"),
        ("stem=scss", "no variant has stem 'scss'; did you mean 'scs'"),
    ):
        with pytest.raises(InputError, match=message):
            find_group(frame, wrong)


@pytest.mark.parametrize(
    ("scope", "stage"),
    [
        ("stem.stages.0.conv", "stem"),
        ("patch_embed1.proj_conv", "stem"),
        ("block.3.attn.q_conv", "attention"),
        ("blocks.0.attention.head", "attention"),
        ("stage3.1.mlp.mlp1_conv", "MLP"),
        ("head.linear", "head"),
        ("", "other"),
        ("mixer.0", "other"),
    ],
)
def test_stage_of(scope, stage):
    assert stage_of(scope) == stage


def test_layers_of_several_networks_keep_the_order_of_execution():
    assert merged([["stem", "q", "k", "head"], ["stem", "extra", "q", "head"]]) == ["stem", "extra", "q", "k", "head"]


def test_what_was_not_counted_is_said(frame, make_cell):
    group_id = make_cell(0)["group_id"]
    said = Record.absent(frame.metric("events"), "not counted: a reason", conditions={"operation": "neuron"})
    frame.by_group[group_id] = [*frame.by_group[group_id], said]
    texts = [block.text for block in explain(frame, "events").blocks if isinstance(block, Text)]
    assert "neuron in the network: not counted: a reason." in texts
    assert not is_whole(said)
