"""The search block of a suite: what a space means, and what a person is told about a bad one."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikebench.core import yaml_nodes
from spikebench.core.errors import InputError, Problem
from spikebench.core.quantity import parse_quantity
from spikebench.core.records import Record
from spikebench.core.search import Constraint, NoValueError, Objective, Search, value_of
from spikebench.core.search_space import Parameter
from spikebench.core.suite import Suite
from spikebench.core.suite_reader import from_document

GOOD = """\
suite: s
dataset: digits
variants: {base: spikformer-2-64}
train: {epochs: 2, lr: 1.0e-3}
measure: [accuracy, activity]
energy: [spikformer-paper]
search:
  space:
    attention.order: {choice: [kv_first, qk_first], when: {attention: ssa}}
    attention: {choice: [ssa, softmax]}
    depth: {int: [1, 3], step: 2}
    lr: {choice: [1.0e-3, 2.0e-3]}
  objectives: [accuracy, "energy{profile=spikformer-paper}"]
  constraints: [parameters <= 2M]
"""


def read(text: str) -> Suite:
    return from_document(yaml_nodes.parse(text, "s.yaml"))


def search_of(text: str) -> Search:
    search = read(text).search
    assert search is not None
    return search


def problems(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        read(text)
    return [str(problem) for problem in caught.value.problems]


def with_space(space: str, rest: str = "objectives: [accuracy]") -> str:
    return f"{GOOD[: GOOD.index('  space:')]}  space:\n    {space}\n  {rest}\n"


def test_every_combination_once_and_options_only_where_they_exist() -> None:
    points = list(search_of(GOOD).space.points())
    assert len(points) == (2 + 1) * 2 * 2
    assert len({tuple(sorted(point.items())) for point in points}) == len(points)
    assert all(("attention.order" in point) == (point["attention"] == "ssa") for point in points)
    assert {point["depth"] for point in points} == {1, 3}


def test_a_point_becomes_a_network_and_its_training() -> None:
    suite = read(GOOD)
    assert suite.search is not None
    values = {"attention": "ssa", "attention.order": "qk_first", "depth": 3, "lr": 2e-3}
    variant = suite.search.space.variant(values)
    assert (variant.depth, variant.dim, str(variant.attention)) == (3, 64, "ssa(order=qk_first)")
    training = suite.search.space.training(values, suite.training)
    assert training is not None
    assert training.options == {"epochs": 2, "lr": 2e-3}


def test_a_field_of_train_is_the_same_however_it_is_spelled() -> None:
    decay = "weight_decay: {choice: [0.0, 0.1], when: {optimizer: adamw}}"
    space = f"{{optimizer: {{choice: [adamw, sgd]}}, lr: {{float: [1.0e-4, 1.0e-2], log: true}}, {decay}}}"
    short = search_of(with_space(space))
    long = search_of(
        with_space(space.replace("lr:", "train.lr:").replace("weight", "train.weight").replace("optimizer", "train.optimizer"))
    )
    assert "train.lr" not in long.identity()["space"]
    assert long.identity() == short.identity()
    assert [parameter.name for parameter in long.space.parameters] == ["optimizer", "lr", "weight_decay"]


def test_the_values_of_a_cell_are_found_again() -> None:
    suite = read(GOOD)
    assert suite.search is not None
    space = suite.search.space
    for values in space.points():
        cell = suite.cell(space.variant(values), 0, space.training(values, suite.training))
        assert space.values_of(cell) == values
    outside = suite.cell(space.variant({"depth": 2}), 0)
    assert space.values_of(outside) is None


def test_components_with_options_are_values_too() -> None:
    text = with_space("attention: {choice: [softmax, {name: ssa, order: kv_first}]}")
    space = search_of(text).space
    assert space.parameters[0].labels == ("softmax", "ssa(order=kv_first)")
    assert space.variant({"attention": "ssa(order=kv_first)"}).attention.options == {"order": "kv_first"}


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 5))
def test_a_finite_range_holds_what_counting_gives(low: int, width: int, step: int) -> None:
    parameter = Parameter("depth", "int", low, low + width, step)
    assert parameter.finite() == tuple(itertools.takewhile(lambda x: x <= low + width, itertools.count(low, step)))
    real = Parameter("mlp_ratio", "float", float(low), float(low + width), step / 10)
    values = real.finite()
    assert values is not None
    assert values[0] == low
    assert all(real.encode(value) == value for value in values)
    assert low + width - values[-1] < step / 10 + 1e-9


BAD = [
    ("depht: {int: [1, 4]}", "s.yaml:9:5: search.space.depht: unknown parameter 'depht'; did you mean 'depth'?"),
    ("depth: {int: [4, 1]}", "s.yaml:9:13: search.space.depth.int: the range 4 to 1 is inverted"),
    ("depth: {int: [4, 4]}", "s.yaml:9:13: search.space.depth.int: the range 4 to 4 is empty"),
    ("depth: {int: [1]}", "s.yaml:9:13: search.space.depth.int: expected [low, high], got [1]"),
    ("depth: {int: [1, 2], choice: [1]}", "s.yaml:9:5: search.space.depth: needs one of int"),
    ("depth: {choice: []}", "s.yaml:9:13: search.space.depth.choice:"),
    ("depth: {choice: [1, 2, 1]}", "s.yaml:9:28: search.space.depth.choice[2]: 1 stands twice"),
    ("depth: {choice: [0, 2]}", "s.yaml:9:22: search.space.depth.choice[0]: must be above 0, got 0"),
    ("depth: {chioce: [1, 2]}", "s.yaml:9:13: search.space.depth.chioce: unknown key 'chioce'; did you mean 'choice'?"),
    ("depth: {float: [1, 3]}", "s.yaml:9:13: search.space.depth.float: depth is a whole number: use int"),
    ("dim: {int: [0, 3], log: true}", "s.yaml:9:24: search.space.dim.log: log needs a range above 0"),
    ("lr: {float: [1e-4, 1.0e-2]}", "expected two numbers, got '1e-4' (YAML reads it as text: write 0.0001)"),
    ("lr: {float: [-1.0, 1.0e-2]}", "s.yaml:9:18: search.space.lr.float[0]: lr must be above 0, got -1.0"),
    ("stem: {int: [1, 2]}", "s.yaml:9:5: search.space.stem: stem is chosen by name: use choice"),
    ("attention: {choice: [ssa, softmxa]}", "s.yaml:9:31: search.space.attention.choice[1]: unknown attention 'softmxa'"),
    ("attention.ordr: {choice: [kv_first]}", "ssa has no option 'ordr'; did you mean 'order'?"),
    ("stem.residual: {choice: [true, false]}", "sps has no option 'residual'"),
    ("attention.order: {choice: [kv_first], when: {attention: ssa}}", "'attention' is not in the space"),
    ("{lr: {choice: [0.1]}, train.lr: {choice: [0.2]}}", "s.yaml:9:27: search.space.train.lr: is the same as 'lr'"),
    ("train.lr: {float: [-1.0, 1.0e-2]}", "s.yaml:9:24: search.space.train.lr.float[0]: lr must be above 0, got -1.0"),
    ("train.depth: {int: [1, 2]}", "search.space.train.depth: unknown parameter 'train.depth'"),
]


@pytest.mark.parametrize(("space", "message"), BAD, ids=[space.split(":")[0] + str(i) for i, (space, _) in enumerate(BAD)])
def test_bad_parameters_are_named_with_their_place(space: str, message: str) -> None:
    found = problems(with_space(space))
    assert any(message in problem for problem in found), found
    assert all(problem.startswith("s.yaml:9:") for problem in found), found


def test_an_option_of_one_choice_alone_asks_for_its_condition() -> None:
    space = "stem: {choice: [sps, scs]}\n    stem.expansion: {choice: [2, 4]}"
    assert "sps has no option 'expansion'" in problems(with_space(space))[0]
    assert "say when it exists: when: {stem: scs}" in problems(with_space(space))[0]
    assert search_of(with_space(space.replace("[2, 4]", "[2, 4], when: {stem: scs}")))


def test_conditions_in_a_circle() -> None:
    space = "stem: {choice: [sps, scs], when: {attention: ssa}}\n    attention: {choice: [ssa], when: {stem: sps}}"
    assert any("circle" in problem for problem in problems(with_space(space)))


def test_fields_of_train_where_nothing_is_trained() -> None:
    text = with_space("lr: {float: [0.1, 0.2]}").replace("train: {epochs: 2, lr: 1.0e-3}", "train: none")
    found = problems(text)
    assert any("search.space.lr: is a field of train, and this suite trains nothing" in problem for problem in found)
    assert any("accuracy comes from training" in problem for problem in found)


@pytest.mark.parametrize(
    ("rest", "message"),
    [
        ("objectives: [acuracy]", "s.yaml:10:16: search.objectives[0]: unknown metric 'acuracy'; did you mean 'accuracy'?"),
        ("objectives: [accuracy, accuracy]", "s.yaml:10:26: search.objectives[1]: accuracy stands twice"),
        ("objectives: [learning_rate]", "learning_rate cannot be an objective"),
        ("objectives: [latency]", "nothing in this suite measures latency; add to measure: latency"),
        ("objectives: ['energy{profile=horowitz}']", "s.yaml:10:16: search.objectives[0]: the profile 'horowitz' is not among"),
        ("objectives: ['accuracy{T=1}']", "a search sees accuracy on the validation split"),
        ("objectives: []", "s.yaml:10:3: search.objectives:"),
        ("objectives: [accuracy]\n  constraints: ['parameters <= 2 MB']", "expected a plain number or one with"),
        (
            "objectives: [accuracy]\n  constraints: ['energy <= 2 ms']",
            "s.yaml:11:17: search.constraints[0]: energy <=: expected J,",
        ),
        ("objectives: [accuracy]\n  constraints: ['energy <= 2']", "no unit in '2'"),
        ("objectives: [accuracy]\n  constraints: ['energy < 2 J']", "expected METRIC <= NUMBER UNIT"),
        ("objectives: [accuracy]\n  sampler: tpee", "unknown sampler 'tpee'; did you mean 'tpe'?"),
        ("objectives: [accuracy]\n  sampler: {tpe: {startup: 1}}", "tpe has no option 'startup'"),
        ("objectives: [accuracy]\n  sampler: {nsga2: {population_size: 1}}", "population_size must be at least 2, got 1"),
        (
            "objectives: [accuracy, parameters]\n  pruner: median",
            "s.yaml:11:3: search.pruner: a pruner compares trials by one number",
        ),
        ("objectives: [parameters]\n  pruner: median", "a pruner looks at validation accuracy"),
        ("objectives: [accuracy]\n  trials: 0", "s.yaml:11:3: search.trials:"),
        ("objectives: [accuracy]\n  timeout: 3 J", "s.yaml:11:3: search.timeout: expected s,"),
        ("objectives: [accuracy]\n  timeout: -1", "s.yaml:11:3: search.timeout: must be above 0"),
        ("objectives: [accuracy]\n  tials: 3", "unknown key 'tials'; did you mean 'trials'?"),
    ],
)
def test_bad_goals_are_named_with_their_place(rest: str, message: str) -> None:
    found = problems(with_space("depth: {int: [1, 4]}", rest))
    assert any(message in problem for problem in found), found


def test_the_grid_sampler_needs_a_finite_space() -> None:
    assert "finite range" in problems(with_space("lr: {float: [0.1, 0.2]}", "objectives: [accuracy]\n  sampler: grid"))[0]
    assert search_of(with_space("lr: {float: [0.1, 0.2], step: 0.05}", "objectives: [accuracy]\n  sampler: grid"))


def test_a_grid_by_mistake() -> None:
    space = "depth: {int: [1, 200]}\n    dim: {int: [1, 200]}"
    assert "up to 40,000 points" in problems(with_space(space, "objectives: [accuracy]\n  sampler: grid"))[0]


def test_all_problems_at_once() -> None:
    text = GOOD.replace("depth: {int: [1, 3]", "depth: {int: [3, 1]").replace('[accuracy, "energy', '[acuracy, "energi')
    assert len(problems(text)) == 3


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [("2M", "1", 2e6), ("1,000", "1", 1e3), ("97 %", "1", 0.97), ("0.1 mJ", "J", 1e-4), ("2.5e3 nJ", "J", 2.5e-6),
     ("12,345,678.5", "1", 12345678.5), ("1_000_000", "1", 1e6), ("-1,000 mJ", "J", -1.0), ("5. ms", "s", 5e-3),
     ("5 ms", "s", 5e-3), ("2 min", "s", 120.0), ("1 MiB", "B", 2.0**20), ("1 MB", "B", 1e6), ("100 images/s", "1/s", 100.0)],
)  # fmt: skip
def test_quantities_in_base_units(text: str, unit: str, value: float) -> None:
    assert parse_quantity(text, unit) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    "text", ["0,1 mJ", "0,100 mJ", "1,5 mJ", "1,50 mJ", "10,0000 mJ", "1,2,3 mJ", "1000,000 mJ", "1.000,5 mJ"]
)
def test_a_decimal_comma_is_refused_not_read_as_another_number(text: str) -> None:
    with pytest.raises(InputError, match=r"a comma groups thousands|expected a number"):
        parse_quantity(text, "J")


def test_how_far_a_limit_is_passed() -> None:
    limit = Constraint.parse("parameters<=2M")
    assert [limit.violation(value) for value in (1e6, 2e6, 3e6)] == [-0.5, 0.0, 0.5]
    floor = Constraint.parse("accuracy >= 50 %")
    assert floor.violation(0.4) == pytest.approx(0.2)
    assert floor.violation(0.5) == 0.0


def records(*epochs: int, **more: Any) -> list[Record]:
    return [Record("epoch_accuracy", epoch / 10, "1", conditions={"epoch": epoch, "precision": "fp32"}) for epoch in epochs]


def test_accuracy_is_the_last_epochs_on_validation_never_the_tests() -> None:
    objective = Objective.parse("accuracy")
    test = Record("accuracy", 0.99, "1", conditions={"T": 4})
    assert value_of(objective.quantity, [*records(1, 2, 3), test]) == 0.3
    assert objective.sign == -1
    with pytest.raises(InputError, match="matches 0"):
        value_of(objective.quantity, [test])


def test_an_objective_must_match_one_record() -> None:
    energy = Objective.parse("energy")
    two = [Record("energy", 1.0, "J", "estimated", conditions={"profile": name}) for name in ("a", "b")]
    with pytest.raises(InputError, match=r"matches 2: energy\{profile=a\}; energy\{profile=b\}"):
        value_of(energy.quantity, two)
    with pytest.raises(NoValueError, match="no such counter"):
        value_of(energy.quantity, [Record("energy", None, "J", status="unavailable", reason="no such counter")])


def test_problem_is_a_located_input_error() -> None:
    assert isinstance(NoValueError(Problem("x")), InputError)
