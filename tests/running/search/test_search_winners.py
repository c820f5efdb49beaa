"""A winner's suite asks for the very cell that won."""

from __future__ import annotations

from pathlib import Path

import yaml

from spikebench.core.suite_reader import load
from spikebench.reading.model.trials import Trial
from spikebench.running.search.winners import winner_suite

SUITE = """\
suite: tuned
dataset: digits
variants: {base: {depth: 1, dim: 48, num_heads: 3, T: 2}}
weights: {path: model.pth, layout: spikformer-cifar, num_heads: 3, ema: true}
train: {epochs: 1}
search: {space: {lr: {float: [1.0e-4, 1.0e-2]}}, objectives: [accuracy]}
"""


def test_given_weights_are_the_same_weights(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(b"stands for a checkpoint")
    (tmp_path / "tuned.yaml").write_text(SUITE)
    suite = load(tmp_path / "tuned.yaml")
    text = winner_suite(suite, suite.cells[0], Trial(4, "complete", {}, (0.9,), {}, suite.cells[0].cell_id, ""))
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper/winner.yaml").write_text(text)
    again = load(tmp_path / "deeper/winner.yaml")
    assert again.cells[0].weights == suite.cells[0].weights
    assert again.cells[0].cell_id == suite.cells[0].cell_id
    # Where the tensors cannot tell the number of heads, the reader must be told it again.
    assert yaml.safe_load(text)["weights"]["num_heads"] == 3
