"""What failed for want of weights is counted where the training that was to make them failed."""

from __future__ import annotations

import pytest

from spikebench.core.waiting import UNTRAINED, Failure, awaited, not_pretrained, told_once, waiting


def test_a_failed_training_speaks_for_all_that_wait_for_it() -> None:
    failures = {
        "probe": Failure("b", False, UNTRAINED),
        "pretrain": Failure("a", True, "no room"),
        "train": Failure("b", True, not_pretrained("a")),
        "memory": Failure("b", False, "it broke"),
        "accuracy": Failure("b", False, UNTRAINED),
        "other": Failure("c", True, "diverged"),
        "its": Failure("c", False, UNTRAINED),
    }
    assert told_once(failures) == {"pretrain": 3, "memory": 0, "other": 1}
    assert list(told_once(failures)) == ["pretrain", "memory", "other"]


def test_weights_that_are_lost_for_another_reason_are_told_by_who_misses_them() -> None:
    alone = {"accuracy": Failure("b", False, UNTRAINED), "train": Failure("c", True, not_pretrained("a"))}
    assert told_once(alone) == {"accuracy": 0, "train": 0}


def test_failures_that_wait_for_each_other_end() -> None:
    """Nobody writes such files; whoever reads them must come to an end all the same."""
    circle = {"a": Failure("a", True, not_pretrained("b")), "b": Failure("b", True, not_pretrained("a"))}
    assert sum(told_once(circle).values()) == 2


@pytest.mark.parametrize(
    ("reason", "cell"), [(UNTRAINED, "b"), (not_pretrained("0a1f"), "0a1f"), ("no trained weights of mine", ""), ("", "")]
)
def test_the_reason_says_whose_weights(reason: str, cell: str) -> None:
    assert awaited("b", reason) == cell


def test_one_job_waits_and_two_wait() -> None:
    assert [waiting(count) for count in (0, 1, 2)] == ["", "; 1 job waits for its weights", "; 2 jobs wait for its weights"]
