"""The harness `accuracy`, against a model whose answers are known."""

from pathlib import Path

import pytest
import torch
from torch import nn

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.records import Selector
from spikebench.harnesses.accuracy import Harness
from spikebench.testing import TINY, make_subject


class Knows(nn.Module):
    """Right on the first ``T`` samples of every five; wrong elsewhere. Takes the labels from the data set it is tested on."""

    def __init__(self, x: torch.Tensor, y: torch.Tensor, T: int) -> None:
        super().__init__()
        self.x, self.y, self.T = x, y, T

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        index = (x.flatten(1)[:, None] == self.x.flatten(1)[None]).all(-1).int().argmax(-1)
        answers = torch.where(index % 5 < self.T, self.y[index], (self.y[index] + 1) % 4)
        return nn.functional.one_hot(answers, 4).float()


def subject(folder: Path, choice: Choice):
    made = make_subject(folder, choice)
    made.model = Knows(*made.dataset.split("test").tensors, T=TINY.T).eval()
    return made


def test_every_time_step_with_every_samples_correctness(tmp_path: Path) -> None:
    choice = Choice("accuracy", {"T": [1, 2, 4], "batch_size": 7})
    made = subject(tmp_path, choice)
    records = list(Harness().run(made, choice.resolve("harnesses")))
    assert [record.conditions["T"] for record in records] == [2, 1, 4]  # the cell's own first, once
    for record in records:
        expected = [int(index % 5 < record.conditions["T"]) for index in range(24)]
        assert record.samples == expected
        assert record.value == sum(expected) / 24
    assert made.model.T == TINY.T
    assert Selector.parse("accuracy{T=2}").one(records).value == 10 / 24


def test_time_steps_are_restored_when_evaluation_fails(tmp_path: Path) -> None:
    choice = Choice("accuracy", {"T": [7]})
    made = subject(tmp_path, choice)
    running = Harness().run(made, choice.resolve("harnesses"))
    next(running)
    made.model.forward = lambda x: 1 / 0
    with pytest.raises(ZeroDivisionError):
        next(running)
    assert made.model.T == TINY.T


def test_event_frames_have_the_time_steps_that_they_have(tmp_path: Path) -> None:
    choice = Choice("accuracy", {"T": [1]})
    events = Choice("random", {"channels": 2, "size": 8, "classes": 4, "samples": 6, "events": True, "T": TINY.T})
    own, other = Harness().run(make_subject(tmp_path, choice, dataset=events), choice.resolve("harnesses"))
    assert own.status == "ok"
    assert (other.value, other.status, other.reason) == (
        None,
        "unavailable",
        "event frames come with their own number of time steps",
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"neuron": "psn"}, "the neuron has parameters for each of 2 steps, T = 4 is another network"),
        ({"attention": {"name": "statten", "chunk": 2}}, None),
        ({"family": "vit", "attention": "vanilla", "T": 1}, "an ANN has no time steps: T = 4 would be the same network 4 times"),
    ],
)
def test_a_time_step_that_a_component_cannot_have_is_unavailable_and_the_rest_goes_on(
    changes: dict[str, object], reason: str | None, tmp_path: Path
) -> None:
    choice = Choice("accuracy", {"T": [4, 1]})
    made = make_subject(tmp_path, choice, variant=TINY.replace(**changes))
    own, *others = Harness().run(made, choice.resolve("harnesses"))
    assert own.status == "ok"
    by_T = {record.conditions["T"]: record for record in [own, *others]}
    if reason is None:
        assert (by_T[4].status, by_T[1].status) == ("ok", "unavailable")
    else:
        assert (by_T[4].value, by_T[4].status) == (None, "unavailable")
        assert by_T[4].reason.startswith(f"{reason} (stem.")
        assert len(by_T[4].reason) < 200
    assert made.model.T == made.job.cell.variant.T


def test_impossible_options_are_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        Choice("accuracy", {"T": [0]}).resolve("harnesses")
