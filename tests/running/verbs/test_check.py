"""The gate from end to end: code that was changed on purpose fails it, with the right layer named; unchanged code passes."""

from __future__ import annotations

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
from spikebench.reading.model.frame import Frame
from spikebench.running.jobs import rules
from spikebench.running.verbs.check import check_suite, measure_anew

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
    with pytest.raises(StorageError, match="no such folder"):
        check_suite(tmp_path / "no suite either", tmp_path / "none")
