"""What a second run takes from the first."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from spikebench.core.registry import REGISTRIES, NoOptions
from spikebench.core.store import ResultsFolder
from spikebench.running.run.runner import open_run

SUITE = """\
suite: tiny
dataset: digits
variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 2}}
train: {epochs: 0}
measure: [accuracy, {latency: {batch_sizes: [1], backends: [torch], seconds: 0.05}}]
"""


def test_times_are_found_again_where_the_suite_sets_the_threads(tmp_path: Path) -> None:
    other = torch.get_num_threads() + 1
    path = tmp_path / "tiny.yaml"
    path.write_text(SUITE + f"launcher: {{inline: {{threads: {other}}}}}\n")
    first = open_run(path, tmp_path)
    list(first.events())
    assert not first.failures
    assert {facts["threads"] for facts in ResultsFolder(tmp_path / "tiny").machines().values()} == {other}
    assert not open_run(path, tmp_path).plan.pending


def test_a_launcher_need_not_let_a_suite_set_its_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(REGISTRIES["launchers"].get("inline"), "Options", NoOptions)
    path = tmp_path / "tiny.yaml"
    path.write_text(SUITE)
    assert len(open_run(path, tmp_path).plan.pending) == 3
