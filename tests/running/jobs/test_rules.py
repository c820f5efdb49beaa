"""What ``auto`` comes to on a machine is part of what a cell is, and settled before anything is hashed."""

import pytest

from spikebench.core.choice import Choice
from spikebench.core.suite import Suite
from spikebench.core.suite_reader import from_document
from spikebench.core.yaml_nodes import parse
from spikebench.running.jobs import plan, rules
from spikebench.training import precision

SUITE = """
suite: s
dataset: digits
device: {device}
variants: {{base: spikformer-2-64, grid: {{dim: [64, 128]}}}}
{stages}
"""


def suite(stages: str = "train: {epochs: 1}", device: str = "cpu") -> Suite:
    return from_document(parse(SUITE.format(stages=stages, device=device)), rules)


def ids(found: Suite) -> list[str]:
    return [cell.cell_id for cell in found.cells]


@pytest.fixture(params=[True, False], ids=["amx", "no-amx"])
def amx(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setattr(precision, "usable", lambda: frozenset({"amx_bf16"} if request.param else ()))
    return bool(request.param)


def test_an_automatic_precision_is_the_cell_of_the_one_that_it_comes_to(amx: bool) -> None:
    narrow, wide = ids(suite())
    off, bf16 = ids(suite("train: {epochs: 1, amp: 'off'}")), ids(suite("train: {epochs: 1, amp: bf16}"))
    assert narrow == off[0]
    assert wide == (bf16 if amx else off)[1]
    assert ids(suite("train: {epochs: 1, amp: auto}")) == [narrow, wide]


def test_pre_training_and_the_trials_of_a_search_settle_theirs_too(amx: bool) -> None:
    found = suite("train: {epochs: 1, amp: bf16}\npretrain: {epochs: 1}")
    assert [cell.pretraining.options["amp"] for cell in found.cells if cell.pretraining] == ["off", "bf16" if amx else "off"]
    cell = found.cell(found.variants[1], 0, Choice("train", {"epochs": 2}))
    assert cell.training == Choice("train", {"epochs": 2, "amp": "bf16" if amx else "off"})


def test_an_automatic_device_is_settled_first(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(plan, "resolve_device", lambda name: "cuda" if name == "auto" else name)
    monkeypatch.setattr(precision, "settle", lambda amp, device, dim: asked.append((amp, device, dim)) or "off")
    found = suite(device="auto")
    asked.clear()
    assert [cell.training.options["amp"] for cell in found.cells if cell.training] == ["off", "off"]
    assert asked == [("auto", "cuda", 64), ("auto", "cuda", 128)]
