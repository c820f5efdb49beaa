"""Suite files: what a good one expands to, and what a person is told about a bad one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from spikebench.core import yaml_nodes
from spikebench.core.cells import Cell
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem
from spikebench.core.suite import Suite
from spikebench.core.suite_reader import from_document, load
from spikebench.core.variant import InputSpec, VariantSpec

GOOD = """
suite: stems
dataset: digits
variants:
  base: spikformer-2-64
  grid:
    stem: [sps, scs]
    T: [1, 2]
seeds: [0, 1]
train: {epochs: 1}
measure: [accuracy]
"""


def read(text: str) -> Suite:
    return from_document(yaml_nodes.parse(text, "s.yaml"), Rules())


class Rules:
    """A stand-in for the networks' own rules: one of them is enough here."""

    def check(self, spec: VariantSpec, inputs: InputSpec) -> list[Problem]:
        return [Problem(f"{spec.dim} is not divisible by {spec.num_heads}", key="num_heads")] if spec.dim % spec.num_heads else []

    def resolve(self, spec: VariantSpec, inputs: InputSpec) -> VariantSpec:
        return spec

    def settled(self, stage: Choice, spec: VariantSpec, device: str) -> Choice:
        return stage

    def foreign(self, path: Path, layout: str, num_heads: int | None, ema: bool) -> tuple[VariantSpec, InputSpec]:
        return VariantSpec(depth=3), InputSpec(3, 32, 100)

    def device(self, name: str) -> list[Problem]:
        return []

    def profile(self, path: Path) -> list[Problem]:
        return []

    def chip(self, path: Path) -> list[Problem]:
        return []

    def tolerances(self, check: Mapping[str, Any]) -> list[Problem]:
        return []

    def baseline(self, wanted: Mapping[str, Any], cells: Sequence[Cell], recipes: Sequence[str]) -> list[Problem]:
        return []


def problems(text: str) -> list[Problem]:
    with pytest.raises(InputError) as caught:
        read(text)
    return list(caught.value.problems)


def test_grid_is_the_cartesian_product_with_seeds() -> None:
    suite = read(GOOD)
    assert [(v.stem.name, v.T) for v in suite.variants] == [("sps", 1), ("sps", 2), ("scs", 1), ("scs", 2)]
    assert len(suite.cells) == 8
    assert len({cell.group_id for cell in suite.cells}) == 4


def test_exclude_drops_what_matches_all_its_keys() -> None:
    suite = read(GOOD.replace("seeds:", "  exclude: [{stem: scs, T: [2]}]\nseeds:"))
    assert [(v.stem.name, v.T) for v in suite.variants] == [("sps", 1), ("sps", 2), ("scs", 1)]


def test_an_option_of_a_component_can_be_an_axis() -> None:
    suite = read(GOOD.replace("T: [1, 2]", "stem.patch_size: [2, 4]"))
    assert [dict(v.stem.options) for v in suite.variants[:2]] == [{"patch_size": 2}, {"patch_size": 4}]


def test_writing_a_default_out_changes_no_id() -> None:
    plain = read(GOOD)
    spelled = read(
        GOOD.replace("measure: [accuracy]", "measure: [{accuracy: {}}]").replace("{epochs: 1}", "{epochs: 1, batch_size: 64}")
    )
    assert [c.cell_id for c in plain.cells] == [c.cell_id for c in spelled.cells]
    assert [j.job_id for j in plain.jobs(plain.cells[0], "cpu")] == [j.job_id for j in spelled.jobs(spelled.cells[0], "cpu")]


def test_a_seed_a_width_and_a_training_field_change_the_cell() -> None:
    base = read(GOOD)
    ids = {base.cells[0].cell_id}
    for change in ("seeds: [5]", "train: {epochs: 2}"):
        key = change.split(":")[0]
        lines = [change if line.startswith(key) else line for line in GOOD.splitlines()]
        ids.add(read("\n".join(lines)).cells[0].cell_id)
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("change", "place", "words"),
    [
        (("stem: [sps, scs]", "stem: [sps, spx]"), (7, 17), "did you mean 'sps'"),
        (("dataset: digits", "dataset: digit"), (3, 1), "did you mean 'digits'"),
        (("seeds:", "sedes:"), (9, 1), "did you mean 'seeds'"),
        (("{epochs: 1}", "{epochs: 1, lr: 1e-3}"), (10, 20), "write 0.001"),
        (("{epochs: 1}", "{epochs: no}"), (10, 9), "YAML reads yes, no"),
        (("{epochs: 1}", "{epoch: 1}"), (10, 9), "did you mean 'epochs'"),
        (("T: [1, 2]", "T: []"), (8, 5), "empty grid"),
        (("T: [1, 2]", "T: [1, 0]"), (8, 12), "must be above 0"),
        (("T: [1, 2]", "T: [1, two]"), (8, 12), "whole number"),
        (("T: [1, 2]", "num_heads: [2, 3]"), (8, 20), "not divisible by 3"),
        (("T: [1, 2]", "tee: [1, 2]"), (8, 5), "unknown field 'tee'"),
        (("dataset: digits", "dataset: digits\ndataset: digits"), (4, 1), "stands twice"),
        (("measure: [accuracy]", "measure: [accuracy, latenci]"), (11, 21), "unknown harness 'latenci'"),
        (("measure: [accuracy]", "measure: [{accuracy: {T: [x]}}]"), (11, 23), "whole number"),
        (("measure: [accuracy]", "measure: accuracy"), (11, 1), "list"),
        (("seeds: [0, 1]", "seeds: []"), (9, 1), "at least 1"),
        (("seeds: [0, 1]", "seeds: [0, -1]"), (9, 12), "must be at least 0"),
        (("base: spikformer-2-64", "base: spikformer-2-65"), (5, 3), "did you mean 'spikformer-2-64'"),
    ],
)
def test_an_error_names_its_place_and_what_was_expected(change: tuple[str, str], place: tuple[int, int], words: str) -> None:
    assert change[0] in GOOD
    found = problems(GOOD.replace(*change))
    assert [(p.line, p.column) for p in found if words in p.message] == [place], "\n".join(map(str, found))
    assert all(p.file == "s.yaml" for p in found)


def test_all_errors_come_at_once() -> None:
    text = GOOD.replace("[sps, scs]", "[sps, spx]").replace("{epochs: 1}", "{epoch: 1}").replace("[accuracy]", "[acuracy]")
    assert len(problems(text)) == 3


def test_a_grid_of_100_000_cells_is_refused_with_its_sizes() -> None:
    many = ", ".join(str(i) for i in range(1, 51))
    text = GOOD.replace("T: [1, 2]", f"T: [{many}]\n    depth: [{many}]\n    mlp_ratio: [{many}]")
    (problem,) = problems(text)
    assert "500,000 cells" in problem.message
    assert "max_cells" in problem.message


@pytest.mark.parametrize("text", ["", "- a\n- b", "suite: [", "a: &x [*x]", "? [1]\n: 2", "suite: \t x", "{", "\x00"])
def test_what_is_no_suite_at_all_is_one_clear_error(text: str) -> None:
    assert problems(text)


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(InputError, match=str(path)):
            load(path)


def test_not_utf8_is_named(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"suite: caf\xe9\n")
    with pytest.raises(InputError, match="not UTF-8"):
        load(path)


def test_limits_of_a_job_have_units() -> None:
    assert (read(GOOD).job_timeout, read(GOOD).stall) == (None, None)
    suite = read(GOOD + "job_timeout: 2 h\nstall: 90\n")
    assert (suite.job_timeout, suite.stall) == (7200.0, 90.0)
    jobs = {job.job_id for cell in suite.cells for job in suite.jobs(cell, "cpu")}
    assert jobs == {job.job_id for cell in read(GOOD).cells for job in read(GOOD).jobs(cell, "cpu")}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("job_timeout: 2 J", "s.yaml:12:1: job_timeout: expected s,"),
        ("stall: 0", "s.yaml:12:1: stall: must be above 0, got 0"),
        ("stall: [1]", "s.yaml:12:1: stall"),
        ("job_timeouts: 1", "s.yaml:12:1: job_timeouts: unknown key 'job_timeouts'; did you mean 'job_timeout'?"),
    ],
)
def test_a_limit_that_is_none_is_an_error_with_its_place(line: str, message: str) -> None:
    assert str(problems(f"{GOOD}{line}\n")[0]).startswith(message)
