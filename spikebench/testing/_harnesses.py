"""The contract of harnesses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from spikebench.core.choice import Choice
from spikebench.core.metrics import Metric
from spikebench.core.protocols import Harness
from spikebench.core.records import Record, label
from spikebench.core.registry import REGISTRIES
from spikebench.testing._members import TorchFreeContract
from spikebench.testing._subjects import StubSubject, make_subject

_RECORDS: dict[Choice, list[Record]] = {}


class HarnessContract(TorchFreeContract):
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
        optional = {"stage"}
        lacks = sorted(name for name in {*Harness.__annotations__, "run"} - optional if not hasattr(harness, name))
        assert not lacks, f"{self.name} lacks {', '.join(lacks)} (core/protocols.py)"
        assert isinstance(harness.version, int)
        assert harness.metrics
        assert isinstance(getattr(harness, "stage", False), bool)

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
