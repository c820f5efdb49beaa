"""The gate: what it lets pass, what it stops, and what it says."""

import copy
import dataclasses
import json
from xml.etree import ElementTree

import pytest

from spikebench.core.errors import InputError, NotComparableError
from spikebench.core.metrics import Metric
from spikebench.core.records import Record
from spikebench.reading.gate.check import check
from spikebench.reading.gate.tolerances import Tolerance, Tolerances
from spikebench.reading.model.frame import Frame


@pytest.fixture
def cells(make_cell):
    return [make_cell(seed, stem=stem) for seed in (0, 1, 2) for stem in ("sps", "scs")]


def changed(metric, factor=1.0, scope="", stem=None, seeds=(0, 1, 2), **conditions):
    """An ``alter`` for make_frame that scales one metric, by default of all cells."""

    def alter(one, record):
        hit = (
            record.metric == metric
            and record.scope == scope
            and (stem is None or one["variant"]["stem"] == stem)
            and one["seed"] in seeds
            and all(record.conditions.get(name) == value for name, value in conditions.items())
        )
        if not hit:
            return record
        value = int(record.value * factor) if isinstance(record.value, int) else record.value * factor
        samples = None if record.samples is None else [sample * factor for sample in record.samples]
        return dataclasses.replace(record, value=value, samples=samples)

    return alter


def both(*alters):
    def alter(one, record):
        for step in alters:
            record = step(one, record)
        return record

    return alter


def flip_answers(count):
    """Make ``count`` more test samples wrong in every seed."""

    def alter(one, record):
        if record.metric != "accuracy" or record.conditions["T"] != 4:
            return record
        samples = list(record.samples)
        for index in [i for i, right in enumerate(samples) if right][: count + one["seed"] % 2]:
            samples[index] = 0
        return dataclasses.replace(record, value=sum(samples) / len(samples), samples=samples)

    return alter


def outcomes(gate, metric):
    return {judgement.outcome for judgement in gate.judgements if judgement.address.startswith(metric)}


def test_the_same_results_pass(make_frame, cells):
    gate = check(make_frame(cells), make_frame(cells))
    assert gate.exit_code == 0
    assert outcomes(gate, "events") == {"pass"}
    assert outcomes(gate, "accuracy") == {"pass"}


def test_one_event_too_many_fails_and_the_layer_is_named(make_frame, cells):
    def one_more(one, record):
        if record.metric == "events" and one["variant"]["stem"] == "scs" and record.scope in ("", "blocks.0.mlp.fc1"):
            return dataclasses.replace(record, value=record.value + 1)
        return record

    gate = check(make_frame(cells), make_frame(cells, one_more))
    assert gate.exit_code == 1
    worst = gate.judgements[0]
    assert worst.layer == "blocks.0.mlp.fc1"
    assert "stem=scs" in worst.message
    assert "the first that changed" in worst.message
    assert sum(judgement.outcome == "fail" for judgement in gate.judgements) == 1


def test_the_first_and_the_most_changed_layer_are_both_named(make_frame, cells):
    alter = both(
        changed("events", 1.001, scope="stem.stages.1"), changed("events", 1.5, scope="head"), changed("events", 1.2, scope="")
    )
    message = next(j.message for j in check(make_frame(cells), make_frame(cells, alter)).judgements if j.outcome == "fail")
    assert "most in head" in message
    assert "first in stem.stages.1" in message


def test_a_change_that_cancels_in_the_sum_is_seen(make_frame, cells):
    def swap(one, record):
        delta = {"stem.stages.0": 5, "head": -5}.get(record.scope, 0) if record.metric == "events" else 0
        return dataclasses.replace(record, value=record.value + delta) if delta else record

    assert check(make_frame(cells), make_frame(cells, swap)).exit_code == 1


def test_fewer_events_are_a_change_too(make_frame, cells):
    assert check(make_frame(cells), make_frame(cells, changed("events", 0.9))).exit_code == 1


@pytest.mark.parametrize(("factor", "code"), [(1.0005, 0), (1.002, 1)])
def test_rounding_is_forgiven_on_another_machine_alone(make_frame, cells, factor, code):
    alter = changed("events", factor)
    assert check(make_frame(cells), make_frame(cells, alter, machine_id="m2")).exit_code == code
    assert check(make_frame(cells), make_frame(cells, alter)).exit_code == 1


def test_parameters_are_exact_everywhere(make_frame, cells):
    alter = changed("parameters", 1.0005)
    assert check(make_frame(cells), make_frame(cells, alter, machine_id="m2")).exit_code == 1


@pytest.mark.parametrize(("wrong", "outcome"), [(1, "pass"), (30, "fail")])
def test_accuracy_is_paired_by_seed(make_frame, cells, wrong, outcome):
    suite = "suite: s\ncheck: {accuracy: 2pp}"
    gate = check(make_frame(cells, suite=suite), make_frame(cells, flip_answers(wrong), suite=suite))
    found = [j for j in gate.judgements if j.address == "accuracy{T=4}"]
    assert {j.outcome for j in found} == {outcome}
    if outcome == "fail":
        assert "paired over 3 seeds" in found[0].message
        assert found[0].interval.low > 0


def test_too_few_seeds_cannot_tell_and_say_what_they_could(make_frame, cells):
    def noisy(one, record):
        if record.metric != "accuracy" or record.conditions["T"] != 4:
            return record
        return dataclasses.replace(record, value=record.value - 0.03 * one["seed"], samples=None)

    gate = check(make_frame(cells), make_frame(cells, noisy))
    assert gate.exit_code == 3
    assert "seeds with this spread find differences from" in gate.judgements[0].message


@pytest.mark.parametrize(("wrong", "outcome"), [(0, "pass"), (2, "inconclusive"), (30, "fail")])
def test_one_seed_is_judged_by_its_samples(make_frame, make_cell, wrong, outcome):
    one = [make_cell(0)]
    gate = check(make_frame(one), make_frame(one, flip_answers(wrong)))
    assert outcomes(gate, "accuracy{T=4}") == {outcome}


def test_times_on_another_machine_are_not_judged(make_frame, cells):
    gate = check(make_frame(cells), make_frame(cells, changed("latency", 3.0), machine_id="m2"))
    assert outcomes(gate, "latency") == {"skipped"}
    assert gate.exit_code == 0


def test_a_baseline_of_several_machines_is_compared_on_the_shared_one(make_frame, cells):
    slow = changed("latency", 3.0)
    here, elsewhere = make_frame(cells, machine_id="m2"), make_frame(cells, slow, machine_id="m1")
    both = Frame([*elsewhere.records, *here.records], here.cells, suite=here.suite, metrics=here._metrics)
    latency = next(j for j in check(both, here).judgements if j.address.startswith("latency"))
    assert latency.outcome == "pass"
    assert latency.old == latency.new


def test_a_slower_run_is_weak_evidence_unless_the_suite_asks(make_frame, cells, tmp_path):
    new = make_frame(cells, changed("latency", 3.0))
    gate = check(make_frame(cells), new)
    slow = next(j for j in gate.judgements if j.address.startswith("latency"))
    assert (slow.outcome, slow.weak, slow.gating, gate.exit_code) == ("fail", True, False, 0)
    suite = ElementTree.parse(gate.junit(tmp_path / "gate.xml")).getroot().find("testsuite")
    assert (suite.get("failures"), suite.get("errors"), suite.get("skipped")) == ("0", "0", "2")
    assert "worse (weak)" in gate.markdown(tmp_path / "gate.md").read_text()
    asked = "suite: quickstart\ncheck: {'latency{batch_size=1}': 5%}"
    gate = check(make_frame(cells), make_frame(cells, changed("latency", 3.0), suite=asked))
    assert gate.exit_code == 1
    assert "weak evidence" in gate.judgements[0].message


def test_a_faster_run_passes(make_frame, cells):
    asked = "suite: quickstart\ncheck: {latency: 5%}"
    assert check(make_frame(cells), make_frame(cells, changed("latency", 0.5), suite=asked)).exit_code == 0


def test_a_number_that_got_lost_is_a_failed_cell(make_frame, cells):
    def fail(one, record):
        if record.metric == "events" and not record.scope:
            return Record("events", None, "1", status="failed", reason="out of memory")
        return record

    gate = check(make_frame(cells), make_frame(cells, fail))
    assert gate.exit_code == 4
    assert "out of memory" in gate.judgements[0].message
    gone = check(make_frame(cells), make_frame(cells, lambda one, record: None if record.metric == "events" else record))
    assert gone.exit_code == 4
    assert "this run does not" in gone.judgements[0].message


def test_baselines_that_cannot_be_used(make_frame, cells, make_cell):
    with pytest.raises(NotComparableError, match="of the suite 'other'"):
        check(make_frame(cells, suite="suite: other"), make_frame(cells))
    with pytest.raises(InputError, match=r"no longer has: .*attention=softmax"):
        check(make_frame([*cells, make_cell(0, attention="softmax")]), make_frame(cells))
    with pytest.raises(NotComparableError, match="nothing to compare"):
        check(make_frame([make_cell(0, T=2)]), make_frame([make_cell(0, T=1)]))
    gate = check(make_frame(cells), make_frame([*cells, make_cell(0, attention="softmax")]))
    assert any("not in the baseline" in notice for notice in gate.notices)


def test_a_new_version_of_the_training_code_is_matched_by_factors(make_frame, cells):
    newer = [{**one, "cell_id": one["cell_id"][::-1], "group_id": one["group_id"][::-1]} for one in cells]
    assert check(make_frame(cells), make_frame(newer, lambda o, r: r)).judgements


def test_outputs(make_frame, cells, tmp_path):
    gate = check(make_frame(cells), make_frame(cells, changed("events", 1.5)))
    data = json.loads(gate.json(tmp_path / "gate.json").read_text())
    assert (data["schema"], data["exit_code"], len(data["judgements"])) == (1, 1, len(gate.judgements))
    suite = ElementTree.parse(gate.junit(tmp_path / "gate.xml")).getroot().find("testsuite")
    assert (int(suite.get("failures")), int(suite.get("tests"))) == (2, len(gate.judgements))
    assert "❌ fail" in gate.markdown(tmp_path / "gate.md").read_text()
    lines = gate.github()
    assert len(lines) == 2
    assert all(line.startswith("::error title=spikebench%3A events::stem=") and "\n" not in line for line in lines)


FRACTION = Metric("accuracy", "1", "higher", "measured", "Accuracy", display_unit="%", display_factor=100)
TIME = Metric("latency", "s", "lower", "measured", "Latency", portable=False)


@pytest.mark.parametrize(
    ("text", "metric", "value", "absolute"),
    [
        ("5%", TIME, 0.05, False),
        ("1.0pp", FRACTION, 0.01, True),
        ("1 pp", FRACTION, 0.01, True),
        (0, TIME, 0, False),
        (0.02, FRACTION, 0.02, True),
        ("2%", FRACTION, 0.02, False),
        ("1e-3", TIME, 0.001, False),
    ],
)
def test_tolerances_are_read(text, metric, value, absolute):
    tolerance = Tolerance.parse(text, metric)
    assert (tolerance.value, tolerance.absolute) == (pytest.approx(value), absolute)


@pytest.mark.parametrize("text", ["five", "-1%", True, "5 s", "1pp"])
def test_wrong_tolerances_are_refused(text):
    with pytest.raises(InputError):
        Tolerance.parse(text, TIME)


@pytest.mark.parametrize(("floor", "code"), [("5 ms", 1), ("30 ms", 0)])
def test_a_floor_lets_small_absolute_changes_pass(make_frame, cells, floor, code):
    """12.3 ms that become 24.6 ms: 100 %, and 12.3 ms."""
    asked = f"suite: quickstart\ncheck: {{latency: 5% and {floor}, parameters: 0% and 5}}"
    new = make_frame(cells, both(changed("latency", 2.0), changed("parameters", 1.00002)), suite=asked)
    gate = check(make_frame(cells), new)
    assert gate.exit_code == code
    slow = next(j for j in gate.judgements if j.address.startswith("latency"))
    assert f"allowed: 5 % and {floor}" in slow.message
    assert outcomes(gate, "parameters") == {"pass"}


@pytest.mark.parametrize("text", ["5% and 50", "5% and fast", "5% and", "1.0pp and 50 us"])
def test_a_floor_needs_the_unit_of_its_metric(text):
    with pytest.raises(InputError):
        Tolerance.parse(text, FRACTION if "pp" in text else TIME)


def test_all_wrong_rules_of_a_suite_are_named_at_once():
    with pytest.raises(InputError) as error:
        Tolerances.parse({"latency": "fast", "events{": 0, "confidence": 95, "accuracy": "1pp"})
    assert [problem.key for problem in error.value.problems] == ["check.confidence", "check.latency", "check.events{"]


def test_the_narrower_rule_wins():
    rules = Tolerances.parse({"latency": "5%", "latency{batch_size=1}": "20%"})
    assert rules.of(TIME, {"batch_size": "1"}, True).value == pytest.approx(0.2)
    assert rules.of(TIME, {"batch_size": "32"}, True).value == pytest.approx(0.05)


def on(device, frame):
    """The frame as measured on a device."""
    measured = copy.copy(frame)
    measured.devices = dict.fromkeys((record.job_id for record in frame.records), device)
    return measured


def test_a_count_that_another_kind_of_device_rounds_differently_is_not_comparable(cells, make_frame):
    old, new = on("cpu", make_frame(cells)), on("cuda", make_frame(cells, alter=changed("events", 1.001)))
    gate = check(old, new)
    assert gate.exit_code == 0
    skipped = [judgement for judgement in gate.judgements if judgement.apart]
    assert {judgement.address for judgement in skipped} == {"events"}
    assert "device is cpu in the old results and cuda in the new" in skipped[0].message
    assert check(on("cpu", make_frame(cells)), on("cpu", make_frame(cells, alter=changed("events", 1.001)))).exit_code == 1
    macs = on("cuda", make_frame(cells, alter=changed("dense_macs", 1.001)))
    assert check(old, macs).exit_code == 1


def test_nothing_but_what_is_not_comparable_has_an_exit_code_of_its_own(cells, make_frame):
    only = [record for record in make_frame(cells).records if record.metric == "events"]
    frame = make_frame(cells)
    sides = []
    for device, factor in (("cpu", 1), ("cuda", 2)):
        records = [dataclasses.replace(record, value=record.value * factor) for record in only]
        sides.append(on(device, Frame(records, frame.cells, frame.machines, frame.sources, frame.suite)))
    gate = check(*sides)
    assert gate.exit_code == 5
    assert gate.summary.startswith("not comparable")


def test_a_job_that_failed_is_a_failure_under_any_device(cells, make_frame):
    def fail(one, record):
        if record.metric != "events":
            return record
        return dataclasses.replace(record, value=None, samples=None, status="failed", reason="out of memory")

    assert check(on("cpu", make_frame(cells)), on("cuda", make_frame(cells, alter=fail))).exit_code == 4
