"""Contract tests for everybody who writes a component: subclass, name your member, run pytest.

In a plugin's tests::

    from spikebench.testing import DatasetContract

    class TestMyDataset(DatasetContract):
        name = "my-dataset"
        options = {"root": "tests/data"}

A contract tests what the rest of spikebench relies on, not what the member is for. Needs pytest.
"""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import nn

from spikebench.core.cells import Cell, Job
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.metrics import Metric
from spikebench.core.protocols import Harness
from spikebench.core.records import Record, label
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import VariantSpec
from spikebench.data import SPLITS, Dataset, load

__all__ = ["DatasetContract", "HarnessContract", "StubSubject", "make_subject"]


class MemberContract:
    """What every member of a registry owes. ``registry`` and ``name`` say which one is tested."""

    registry: ClassVar[str]
    name: str
    options: Mapping[str, Any] = {}

    @property
    def choice(self) -> Choice:
        return Choice(self.name, self.options)

    def test_first_line_describes_it(self) -> None:
        line = REGISTRIES[self.registry].describe(self.name)
        assert line.endswith((".", ";", ")")) or len(line) > 20, (
            f"{self.name}: the module's docstring must begin with a description"
        )

    def test_options_are_a_frozen_dataclass(self) -> None:
        options = REGISTRIES[self.registry].options(self.name)
        assert dataclasses.is_dataclass(options)
        assert options.__dataclass_params__.frozen  # type: ignore[attr-defined]

    def test_an_unknown_option_is_refused_with_its_name(self) -> None:
        with pytest.raises(InputError, match="no_such_option"):
            Choice(self.name, {**self.options, "no_such_option": 1}).resolve(self.registry)

    def test_is_found_and_imported_without_torch(self) -> None:
        code = (
            "import sys; from spikebench.core.choice import Choice;"
            f"Choice({self.name!r}, {dict(self.options)!r}).resolve({self.registry!r}); sys.exit('torch' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, (
            f"{self.name}: import torch where it is used"
        )


class DatasetContract(MemberContract):
    """Three fixed, disjoint splits of float32 samples with int64 labels, in the shape that ``inputs`` says."""

    registry = "datasets"

    @pytest.fixture
    def dataset(self) -> Dataset:
        return load(self.choice)

    def test_is_a_dataset_with_a_version(self, dataset: Dataset) -> None:
        assert isinstance(dataset, Dataset)
        assert isinstance(dataset.version, int)

    def test_samples_have_the_declared_shape_and_types(self, dataset: Dataset) -> None:
        inputs = dataset.inputs
        for name in SPLITS:
            split: Any = dataset.split(name)
            for index in {0, len(split) - 1}:
                x, y = split[index]
                assert (x.dtype, y.dtype) == (torch.float32, torch.int64)
                assert x.shape[-3:] == (inputs.channels, inputs.size, inputs.size)
                assert x.dim() == (4 if inputs.events else 3)
                assert 0 <= int(y) < inputs.classes
                assert x.isfinite().all()

    def test_two_loads_give_the_same_samples_whatever_the_global_seed(self, dataset: Dataset) -> None:
        for name in SPLITS:
            torch.manual_seed(1)
            one: Any = dataset.split(name)
            torch.manual_seed(2)
            other: Any = load(self.choice).split(name)
            assert len(one) == len(other) > 0
            for index in {0, len(one) // 2, len(one) - 1}:
                assert torch.equal(one[index][0], other[index][0])
                assert torch.equal(one[index][1], other[index][1])

    def test_splits_share_no_sample(self, dataset: Dataset) -> None:
        seen: dict[str, set[bytes]] = {}
        for name in SPLITS:
            split: Any = dataset.split(name)
            seen[name] = {split[index][0].numpy().tobytes() for index in range(min(len(split), 2000))}
        assert not seen["train"] & seen["test"]
        assert not seen["train"] & seen["validation"]
        assert not seen["validation"] & seen["test"]

    def test_an_unknown_split_is_refused(self, dataset: Dataset) -> None:
        with pytest.raises(InputError, match="dev"):
            dataset.split("dev")  # type: ignore[arg-type]


class HarnessContract(MemberContract):
    """Declares what it emits, emits what it declares, never two records with one address, and may be closed at any moment."""

    registry = "harnesses"

    @pytest.fixture
    def subject(self, tmp_path: Path) -> StubSubject:
        return make_subject(tmp_path, self.choice)

    @pytest.fixture
    def harness(self) -> Harness:
        found: Harness = REGISTRIES["harnesses"].get(self.name)()
        return found

    @pytest.fixture
    def declared(self, harness: Harness) -> dict[str, Metric]:
        return {metric.name: metric for metric in harness.metrics}

    @pytest.fixture
    def records(self, tmp_path_factory: pytest.TempPathFactory) -> list[Record]:
        if self.choice not in _RECORDS:  # one run serves all tests that only look at its records
            folder = tmp_path_factory.mktemp(self.name)
            running = (
                REGISTRIES["harnesses"].get(self.name)().run(make_subject(folder, self.choice), self.choice.resolve("harnesses"))
            )
            _RECORDS[self.choice] = list(running)
        return _RECORDS[self.choice]

    def test_is_a_harness(self, harness: Harness) -> None:
        assert isinstance(harness, Harness)
        assert isinstance(harness.version, int)
        assert harness.metrics

    def test_emits_what_it_declares(self, records: list[Record], declared: dict[str, Metric]) -> None:
        assert records
        for record in records:
            assert record.metric in declared, f"{record.metric} is not declared"
            assert record.unit == declared[record.metric].unit

    def test_every_record_has_its_own_address(self, records: list[Record]) -> None:
        addresses = [label(record) for record in records]
        assert len(addresses) == len(set(addresses)), "a selector could not tell two records apart"

    def test_records_survive_storage(self, records: list[Record]) -> None:
        for record in records:
            again = Record.from_json(record.to_json())
            assert again.to_json() == record.to_json()

    def test_an_empty_number_says_why(self, records: list[Record]) -> None:
        assert all(record.reason for record in records if record.value is None)

    def test_the_network_is_left_as_it_was_found(self, harness: Harness, subject: StubSubject) -> None:
        if not harness.needs_weights:
            return  # a training's purpose is to change it
        before = {name: value.clone() for name, value in subject.model.state_dict().items()}
        T = subject.model.T
        list(harness.run(subject, self.choice.resolve("harnesses")))
        assert subject.model.T == T
        assert not subject.model.training
        assert all(torch.equal(value, before[name]) for name, value in subject.model.state_dict().items())

    def test_closed_after_its_first_record_it_can_run_again(self, harness: Harness, subject: StubSubject, tmp_path: Path) -> None:
        options = self.choice.resolve("harnesses")
        running: Any = harness.run(subject, options)
        first = next(running)
        running.close()
        kept = [first] if harness.resumes else []
        again = make_subject(tmp_path, self.choice, previous=kept)
        found = [*kept, *harness.run(again, options)]
        fresh = list(harness.run(make_subject(tmp_path / "fresh", self.choice), options))
        assert sorted(map(label, found)) == sorted(map(label, fresh))


@dataclasses.dataclass
class StubSubject:
    """A ``core.protocols.Subject`` made by hand."""

    job: Job
    model: Any
    dataset: Dataset
    weights_folder: Path
    device: torch.device = dataclasses.field(default_factory=lambda: torch.device("cpu"))
    previous: Sequence[Record] = ()


_RECORDS: dict[Choice, list[Record]] = {}

TINY = VariantSpec(depth=1, dim=16, num_heads=2, T=2)
"""A network that runs in milliseconds on 8x8 images."""
TINY_DATA = Choice("random", {"channels": 1, "size": 8, "classes": 4, "samples": 24})


def make_subject(
    folder: Path,
    harness: Choice,
    *,
    variant: VariantSpec = TINY,
    dataset: Choice = TINY_DATA,
    training: Choice | None = None,
    seed: int = 0,
    model: nn.Module | None = None,
    previous: Sequence[Record] = (),
    device: str = "cpu",
) -> StubSubject:
    """A subject for one run of ``harness``: an untrained network of ``seed`` (or ``model``), its weights kept in ``folder``."""
    from spikebench.networks import build

    data = load(dataset)
    if model is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = build(variant, data.inputs)
    job = Job(Cell(variant, dataset, training, seed), harness, device)
    return StubSubject(job, model.to(device).eval(), data, folder, torch.device(device), previous)
