"""The gate from end to end: code that was changed on purpose fails it, with the right layer named; unchanged code passes."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from spikebench.core.errors import StorageError
from spikebench.core.suite import Suite
from spikebench.core.suite_reader import from_document
from spikebench.core.yaml_nodes import parse
from spikebench.networks.attentions import ssa
from spikebench.networks.encoder import MLP
from spikebench.networks.neurons._base import KernelNeuron
from spikebench.networks.stems import sps
from spikebench.reading.gate.check import Gate, check
from spikebench.reading.gate.differences import compare
from spikebench.reading.model.frame import Frame
from spikebench.running.jobs import rules
from spikebench.running.verbs.check import check_suite, measure_anew
from spikebench.training import precision

SUITE = """
suite: gate
dataset: digits
variants:
  base: {preset: spikformer-2-64, dim: 32, depth: 1, num_heads: 2, neuron: {name: lif, v_threshold: 0.0625},
         attention: {name: ssa, v_threshold: 0.125}}
train: {epochs: 0}
measure: [{activity: {samples: 16}}, {memory: {batch_sizes: [4]}}]
"""


@pytest.fixture(scope="module")
def suite() -> Suite:
    return from_document(parse(SUITE), rules)


@pytest.fixture(scope="module")
def baseline(suite: Suite) -> Frame:
    return measure_anew(suite)


def failures(gate: Gate) -> str:
    return "\n".join(judgement.message for judgement in gate.judgements if judgement.outcome == "fail" and judgement.gating)


def test_unchanged_code_passes(suite: Suite, baseline: Frame) -> None:
    gate = check(baseline, measure_anew(suite))
    assert gate.exit_code == 0, failures(gate)
    assert len(gate.judgements) > 10


def test_an_attention_that_loses_its_scale(suite: Suite, baseline: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ssa.Attention.mix
    monkeypatch.setattr(ssa.Attention, "mix", lambda self, *qkv: whole(self, *qkv) / self.options.scale)
    gate = check(baseline, measure_anew(suite))
    assert gate.exit_code == 1
    assert "blocks.0.attention" in failures(gate)


def test_a_stem_with_one_more_channel(suite: Suite, baseline: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = sps.Stage

    def wider(context: object, in_channels: int, channels: int, *more: object, **options: object) -> object:
        grown = {4: 5}
        return stage(context, grown.get(in_channels, in_channels), grown.get(channels, channels), *more, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(sps, "Stage", wider)
    gate = check(baseline, measure_anew(suite))
    assert gate.exit_code == 1
    assert "parameters" in failures(gate)
    assert "stem.stages." in failures(gate)


def test_a_neuron_that_fires_above_its_threshold_only(suite: Suite, baseline: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    # H >= the next float after the threshold is H > threshold. Counts times 0.125 meet the attention's threshold exactly.
    whole = KernelNeuron.__init__

    def strict(self: KernelNeuron, v_threshold: float, *more: object) -> None:
        whole(self, float(np.nextafter(np.float32(v_threshold), np.float32(2))), *more)  # type: ignore[arg-type]

    monkeypatch.setattr(KernelNeuron, "__init__", strict)
    gate = check(baseline, measure_anew(suite))
    assert gate.exit_code == 1
    assert "blocks.0.attention" in failures(gate)


def test_a_layer_that_keeps_a_tensor_more_for_the_backward_pass(
    suite: Suite, baseline: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = MLP.forward

    def wasteful(self: MLP, x: Tensor) -> Tensor:
        out = whole(self, x)
        return out + 0 * torch.exp(out)  # exp keeps its result; the sum is the same number

    monkeypatch.setattr(MLP, "forward", wasteful)
    gate = check(baseline, measure_anew(suite))
    assert gate.exit_code == 1
    found = [judgement for judgement in gate.judgements if judgement.outcome == "fail" and "saved_bytes" in judgement.address]
    assert found, failures(gate)
    assert "blocks.0.mlp" in found[0].message


def test_a_missing_baseline_costs_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=r"no such folder; a baseline is made by .*spikebench baseline update"):
        check_suite(tmp_path / "no suite either", tmp_path / "none")


WIDE = """
suite: wide
dataset: digits
variants: {base: {preset: spikformer-2-64, dim: 128, depth: 1, num_heads: 2, T: 1, neuron: {name: lif, v_threshold: 0.0625}}}
train: {epochs: EPOCHS, lr: 0.01, batch_size: 512}
measure: [{activity: {samples: 8}}, {memory: {batch_sizes: [2], backends: [torch]}}]
"""
AMX, NONE = frozenset({"amx_bf16"}), frozenset[str]()


def measured_with(usable: frozenset[str], epochs: int) -> Frame:
    """The suite's results where the CPU may use these instructions; bf16 without AMX is slower and no other number format."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(precision, "usable", lambda: usable)
        return measure_anew(from_document(parse(WIDE.replace("EPOCHS", str(epochs))), rules))


unchanged_with = functools.cache(measured_with)
"""Both orders of two machines are of the same two results."""


@pytest.mark.parametrize(("old", "new"), [(AMX, NONE), (NONE, AMX)], ids=["amx-first", "amx-last"])
@pytest.mark.parametrize("epochs", [0, 1])
def test_a_precision_that_the_machine_chose_is_not_comparable_and_the_rest_is(
    old: frozenset[str], new: frozenset[str], epochs: int
) -> None:
    before, after = (unchanged_with(usable, epochs) for usable in (old, new))
    assert not set(before.groups) & set(after.groups), "what auto came to is part of the cell"
    gate = check(before, after)
    assert gate.exit_code == 0, failures(gate)
    by_outcome = {judgement.address: judgement for judgement in gate.judgements}
    loss = by_outcome["first_step_loss"]
    words = ("bf16", "off") if old else ("off", "bf16")
    assert loss.outcome == "skipped"
    assert f"train.amp is {words[0]} in the old results and {words[1]} in the new" in loss.message
    assert by_outcome["dense_macs"].outcome == by_outcome["parameters"].outcome == "pass"
    assert by_outcome["events{split=test}"].outcome == ("skipped" if epochs else "pass")
    assert "not judged" in str(gate.document())
    table = str(compare(before, after, everything=True))
    assert "Not comparable: train.amp is" in table


def test_what_shapes_decide_fails_under_another_precision_too(monkeypatch: pytest.MonkeyPatch) -> None:
    before = unchanged_with(AMX, 0)
    whole = MLP.forward
    monkeypatch.setattr(MLP, "forward", lambda self, x: whole(self, whole(self, x)))
    gate = check(before, measured_with(NONE, 0))
    assert gate.exit_code == 1
    assert "dense_macs" in failures(gate)
