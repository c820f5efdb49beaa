"""`spikebench audit` of somebody's own file, of a suite, and what it exits with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Command

NET = """
import torch
from torch import nn


class Centred(nn.Module):
    def forward(self, x):
        return x - x.mean(0, keepdim=True)


def sound():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), torch.rand(4, 3, 2, 2)


def faulty():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), Centred(), nn.Linear(8, 4)), torch.rand(4, 3, 2, 2)


def nothing():
    return 3


def family(inputs, T=1):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(inputs.channels * inputs.size**2, inputs.classes))
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


def test_a_network_of_ones_own_is_audited_and_gates(command: Command, net: Path, tmp_path: Path) -> None:
    done = command("audit", f"{net}:faulty", "--json", "found.json", "--fail", "causality")
    assert done.returncode == 0, done.stderr
    found = {one["check"]: one for one in json.loads((tmp_path / "found.json").read_text())["audits"]["faulty"]}
    assert len(found) == 12
    assert (found["batch_invariance"]["verdict"], found["batch_invariance"]["layer"]) == ("fail", "2")
    assert found["spike_driven"]["verdict"] == "not applicable"
    assert "batch_invariance" in done.stdout
    assert command("audit", f"{net}:faulty", "--only", "batch_invariance", "--fail", "all").returncode == 1
    assert command("audit", f"{net}:sound", "--only", "batch_invariance", "--fail", "all").returncode == 0
    done = command("audit", "net.py:family", "--dataset", "digits", "--only", "batch_invariance", "--fail", "all")
    assert done.returncode == 0, done.stderr


SUITE = """
suite: audited
dataset: digits
variants:
  base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 2}
  grid: {residual: [add, membrane]}
train: none
measure: [{audit: {checks: [spike_driven, batch_invariance]}}]
check: {"audit{check=spike_driven}": 0}
"""


def test_a_suite_gates_by_its_check_block_and_keeps_what_it_measures(command: Command, tmp_path: Path) -> None:
    (tmp_path / "suite.yaml").write_text(SUITE)
    done = command("audit", "suite.yaml", "--only", "spike_driven")
    assert done.returncode == 1, done.stderr
    assert "residual=membrane" in done.stdout
    done = command("run", "suite.yaml")
    assert done.returncode == 0, done.stderr
    assert "Audit" in done.stdout
    assert "blocks.0.attention.q.linear" in done.stdout.replace("\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["spikfrmer-2-64"], "did you mean 'spikformer-2-64'"),
        (["spikformer-2-64", "--fail", "causalty"], "--fail: unknown audit check 'causalty'; did you mean 'causality'"),
        (["spikformer-2-64", "--samples", "1"], "--samples: must be at least 2"),
        (["net.py:sond"], "has no factory 'sond'; did you mean 'sound'"),
        (["net.py:nothing"], "returned a int, expected an nn.Module"),
        (["net.py:family"], "what is it fed? Name a data set with --dataset"),
        (["no.py:make"], "no such file"),
        (["./net.py"], "a checkpoint needs --layout"),
    ],
)
def test_what_cannot_be_audited_is_one_error(command: Command, net: Path, arguments: list[str], words: str) -> None:
    done = command("audit", *arguments)
    assert done.returncode == 2, done.stdout
    assert words in done.stderr
    assert "Traceback" not in done.stderr
