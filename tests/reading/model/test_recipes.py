"""Rows that differ in how they were trained carry the name that the suite has for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from spikebench.core.errors import InputError
from spikebench.core.suite_reader import load
from spikebench.reading.model.factors import differing, find, flatten, with_recipes
from spikebench.reading.model.suite_facts import SuiteFacts
from spikebench.running.jobs import rules

SUITE = """\
suite: ways
dataset: digits
variants: {base: {preset: spikformer-2-64, stem: scs, position: spikes}, grid: {attention: [ssa, softmax]}}
pretrain: {epochs: 3, mask_ratio: 0.5}
train: {epochs: 4, lr: 1.0e-3}
recipes:
  tuned: {}
  scratch: {pretrain: none}
  longer: {pretrain: none, train: {epochs: 9}}
"""


@pytest.fixture
def rows(tmp_path: Path) -> dict[str, dict[str, object]]:
    path = tmp_path / "ways.yaml"
    path.write_text(SUITE)
    return {cell.cell_id: flatten(cell.facts()) for cell in load(path, rules).cells}


def test_every_cell_has_the_recipe_that_trained_it_and_no_column_says_it_again(rows):
    found = with_recipes(rows, SuiteFacts.parse(SUITE).recipes)
    seen = {(row["recipe"], row["pretrain"], row["train.epochs"], row["attention"]) for row in found.values()}
    stages = {"tuned": ("pretrain", 4), "scratch": ("none", 4), "longer": ("none", 9)}
    assert seen == {(name, *stages[name], attention) for name in stages for attention in ("ssa", "softmax")}
    assert differing(list(found.values())) == ["attention", "recipe"]
    assert "train.epochs" in differing(list(rows.values()))


def test_a_cell_of_no_recipe_is_told_apart_by_its_options(rows):
    one = next(iter(rows))
    other = {**rows, one: {**rows[one], "train.epochs": 5}}
    assert with_recipes(other, SuiteFacts.parse(SUITE).recipes) == other


def test_recipes_keep_the_order_of_the_suite():
    facts = SuiteFacts.parse(SUITE)
    assert sorted(["longer", "scratch", "tuned"], key=lambda name: facts.rank("recipe", name)) == ["tuned", "scratch", "longer"]


def test_a_row_is_named_by_its_recipe(rows):
    found = with_recipes(rows, SuiteFacts.parse(SUITE).recipes)
    assert found[find({"recipe": "longer", "attention": "ssa"}, found)]["train.epochs"] == 9


def test_a_baseline_may_be_a_recipe_and_a_misspelt_one_is_refused_where_it_stands(tmp_path: Path):
    path = tmp_path / "ways.yaml"
    path.write_text(SUITE + "report: {baseline: {recipe: scratch, attention: ssa}}\n")
    assert len(load(path, rules).cells) == 6
    path.write_text(SUITE + "report: {baseline: {recipe: scrach, attention: ssa}}\n")
    with pytest.raises(
        InputError, match=r"ways.yaml:10:21: report.baseline.recipe: no variant has recipe 'scrach'; did you mean 'scratch'"
    ):
        load(path, rules)


@pytest.mark.parametrize("block", ["3", "[a]"])
def test_a_damaged_recipe_is_named(block):
    with pytest.raises(InputError, match=r"recipes.tuned: damaged: no recipe|recipes: damaged"):
        SuiteFacts.parse(SUITE.replace("tuned: {}", f"tuned: {block}"))
