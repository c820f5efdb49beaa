"""A data set, a network, an attention and a harness of one's own, in files beside the suite, by the real command."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests import warm

FILES = {
    "blobs.py": '''"""Bright and dark squares (an example)."""
from spikebench import InputSpec

class Blobs:
    def __init__(self, samples: int = 16):
        self.samples, self.inputs = samples, InputSpec(channels=1, size=8, classes=2)

    def split(self, name):
        import torch
        from torch.utils.data import TensorDataset

        generator = torch.Generator().manual_seed(["train", "validation", "test"].index(name))
        y = torch.arange(self.samples) % 2
        noise = torch.randn(self.samples, 1, 8, 8, generator=generator)
        return TensorDataset(y[:, None, None, None] + 0.1 * noise, y)
''',
    "nets/net.py": '''"""A spiking network of SpikingJelly's own parts (an example)."""
from spikingjelly.activation_based import neuron
from torch import nn

class Net(nn.Module):
    def __init__(self, inputs, T, hidden):
        super().__init__()
        self.T = T
        self.body = nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs.channels * inputs.size**2, hidden),
            neuron.IFNode(v_threshold=0.1),
            nn.Linear(hidden, inputs.classes),
        )

    def forward(self, x):
        return sum(self.body(x) for _ in range(self.T)) / self.T

def make(inputs, T, hidden: int = 8):
    return Net(inputs, T, hidden)
''',
    "mean.py": '''"""Every token gets the mean of all values (an example)."""
from spikebench.networks.attentions._base import QKVAttention

class Attention(QKVAttention):
    inputs = ("v",)

    def mix(self, v):
        return v.mean(3, keepdim=True).expand_as(v)
''',
    "weights.py": '''"""How many weights there are (an example)."""
from spikebench.core.metrics import Metric
from spikebench.core.records import Record

TENSORS = Metric("tensors", "1", None, "counted", "Weight tensors", exact=True, headline=70)

class Harness:
    metrics, version, needs_weights, exclusive, resumes = (TENSORS,), 1, False, False, False

    def run(self, subject, options):
        yield Record.of(TENSORS, len(list(subject.model.parameters())))
''',
    "suite.yaml": """suite: own
dataset: {blobs.py:Blobs: {samples: 8}}
variants:
  base: {depth: 1, dim: 16, num_heads: 2}
  grid:
    family: [spikformer, {name: nets/net.py:make, hidden: 4}]
    attention: [ssa, mean]
    T: [2]
plugins: [mean.py, weights.py]
train: {epochs: 1, batch_size: 8}
measure: [accuracy, activity, weights]
report: {baseline: {family: spikformer, attention: ssa}}
launcher: {processes: {workers: 1}}
""",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def spikebench(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return warm.run(*arguments, cwd=folder)


@pytest.fixture(scope="module")
def first(folder: Path) -> subprocess.CompletedProcess[str]:
    """A run whose jobs run in another process, which has to find the files too."""
    return spikebench(folder, "run", "suite.yaml")


def facts(folder: Path, kind: str) -> list[dict[str, object]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "results" / "own" / kind).glob("*.json"))]


def test_all_are_trained_and_measured_like_ours(folder: Path, first: subprocess.CompletedProcess[str]) -> None:
    assert first.returncode == 0, first.stderr
    assert "12 jobs" in first.stderr
    assert "Weight tensors" in first.stdout
    networks = {json.dumps(cell["variant"], sort_keys=True) for cell in facts(folder, "cells")}
    assert len(networks) == 2 + 1  # attention means nothing to the one of one's own
    assert "not counted" not in first.stdout


def test_their_firing_rates_are_counted(folder: Path, first: subprocess.CompletedProcess[str]) -> None:
    own = {cell["cell_id"] for cell in facts(folder, "cells") if "stem" not in cell["variant"]}  # type: ignore[operator]
    lines = [path.read_text().splitlines() for path in (folder / "results" / "own" / "jobs").glob("*.jsonl")]
    records = [json.loads(line) for head, *rest in lines if json.loads(head)["cell_id"] in own for line in rest]
    rates = [record["value"] for record in records if record.get("metric") == "firing_rate" and not record["scope"]]
    assert len(rates) == 1
    assert 0 < rates[0] < 1


def test_results_are_reused_and_an_edit_is_said(folder: Path, first: subprocess.CompletedProcess[str]) -> None:
    net = folder / "nets" / "net.py"
    net.write_text(net.read_text() + "# a remark\n")
    edited = spikebench(folder, "run", "suite.yaml")
    assert "12 reused, 0 to do" in edited.stderr
    assert "reused jobs were measured with other code: net.py (edited) (--fresh measures again)" in edited.stderr
    (source,) = facts(folder, "sources")
    assert set(source["plugins"]) == {"blobs.py", "mean.py", "net.py", "weights.py"}  # type: ignore[call-overload]


def test_the_report_needs_none_of_the_files(folder: Path, first: subprocess.CompletedProcess[str], tmp_path: Path) -> None:
    (folder / "results").rename(tmp_path / "results")
    try:
        report = spikebench(tmp_path, "report", "results/own", "-f", "terminal")
        assert report.returncode == 0, report.stderr
        assert "net.py:make(hidden=4)" in report.stdout
        assert "Weight tensors" in report.stdout  # in the first table, under its title
    finally:
        (tmp_path / "results").rename(folder / "results")


def test_a_network_that_returns_another_shape_fails_with_what_it_must_return(folder: Path, tmp_path: Path) -> None:
    net = "from torch import nn\n\ndef make(inputs):\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 3))\n"
    (tmp_path / "net.py").write_text(net)
    suite = "suite: odd\ndataset: digits\nvariants: {base: {family: net.py:make}}\ntrain: {epochs: 1, batch_size: 629}\n"
    (tmp_path / "odd.yaml").write_text(suite)
    done = spikebench(tmp_path, "run", "odd.yaml")
    assert done.returncode == 4
    assert "net.py:make must return (B, classes) = (629, 10) or (T, B, classes), got (629, 3)" in done.stdout + done.stderr
