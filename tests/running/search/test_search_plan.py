"""What a search would try, before it tries anything."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import spikebench
from spikebench.core.errors import InputError
from spikebench.core.suite_reader import load
from spikebench.running.jobs import rules
from spikebench.running.run.limits import Limits
from spikebench.running.search.study import SearchStudy
from spikebench.running.search.trial import Trials
from spikebench.running.verbs.search_plan import show_search_plan
from tests.running.search.test_search import SUITE


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(SUITE)
    return path


def test_the_plan_says_what_would_be_tried_and_starts_nothing(
    suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    suite.write_text(
        SUITE.replace(
            "dim: {choice: [8, 16, 32]}", "train.lr: {float: [1.0e-3, 1.0e-2], log: true}\n    dim: {int: [8, 64], step: 8}"
        )
    )
    show_search_plan(suite, tmp_path / "results", Limits())
    assert not (tmp_path / "results").exists()
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "tiny: 6 trials by the tpe(startup_trials=3) sampler, seed 0, 1 at a time; 0 are there"
    assert said[1] == "space: infinitely many points"
    assert said[2] == "looks for: accuracy (higher, validation split), energy{profile=spikformer-paper} (lower)"
    assert said[3] == "within: parameters <= 15k"
    assert said[4] == "each trial trains 1 epochs and measures activity(samples=8, split=validation), with seed 0"
    assert said[5] == "afterwards the winners alone: accuracy and activity(samples=8)"
    table = [line.split() for line in said]
    assert ["dim", "8", "to", "64", "in", "steps", "of", "8", "always"] in table
    assert ["lr", "0.001", "to", "0.01,", "logarithmic", "always"] in table
    assert ["attention.order", "kv_first,", "qk_first", "attention", "is", "ssa"] in table
    examples = [line for line in said if "dim=" in line]
    # The suite's own network, then both ends of the numbers with each attention, ssa in both orders.
    attentions = ("ssa attention.order=kv_first", "ssa attention.order=qk_first", "softmax")
    ends = ("lr=0.001 dim=8 num_heads=1", "lr=0.01 dim=64 num_heads=2")
    expected = [f"lr=0.004 dim=16 num_heads=2 attention={attentions[0]}"]
    expected += [f"{end} attention={attention}" for attention in attentions for end in ends]
    assert [line.split("  ")[0] for line in examples] == expected
    for line in examples:
        spec = dict(word.split("=") for word in line.split("  ")[0].split())
        fields = {"dim": int(spec["dim"]), "num_heads": int(spec["num_heads"]), "depth": 1, "T": 1}
        built = spikebench.build({"preset": "spikformer-2-64", **fields, "attention": spec["attention"]}, "digits")
        parameters = sum(parameter.numel() for parameter in built.parameters())
        if parameters > 15_000:
            assert line.endswith(f"-         -  {parameters:,} parameters: breaks parameters <= 15k; not trained")
        else:
            assert line.rstrip().endswith(" s")
            assert f"{parameters:,}" in line
    assert re.match(r"6 trials to do: about 0\.\d min of training if all were as the cheapest of these, ", said[-1])


def test_the_plan_counts_what_is_there_and_a_finite_space(
    suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from optuna.trial import TrialState, create_trial

    folder = tmp_path / "results" / "tiny"
    for room in ("", "jobs"):
        (folder / room).mkdir(parents=True, exist_ok=True)
    suite.write_text(SUITE.replace("trials: 6", "trials: 4"))
    trials = Trials(load(suite, rules), "cpu")
    study = SearchStudy(folder, "tiny", trials.search, trials.identity())
    for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL):
        study.study.add_trial(create_trial(state=state, values=[0.5, 1e-6] if state == TrialState.COMPLETE else None))
    study.close()
    before = {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))}
    show_search_plan(suite, tmp_path / "results", Limits())
    assert {path: path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))} == before
    said = capsys.readouterr().out
    assert "; 2 are there\nspace: 18 points\n" in said
    assert "\n2 trials to do: " in said
    suite.write_text(SUITE.replace("trials: 6", "trials: 2"))
    show_search_plan(suite, tmp_path / "results", Limits())
    assert "no trial is left to do" in capsys.readouterr().out


def test_a_suite_without_a_search_says_so(suite: Path, tmp_path: Path) -> None:
    suite.write_text(SUITE[: SUITE.index("search:")])
    with pytest.raises(InputError, match="has no search: block"):
        show_search_plan(suite, tmp_path / "results", Limits())
