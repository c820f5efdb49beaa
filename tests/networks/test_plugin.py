"""A package of somebody else brings an attention: built and installed offline, then used by name like one of ours."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
[project]
name = "spikebench-mean-attention"
version = "0.1"
"""

BACKEND = '''"""The smallest build backend (PEP 517): one module, its entry point, a wheel; so the test needs no network."""

import zipfile

INFO = "spikebench_mean_attention-0.1.dist-info"


def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = "spikebench_mean_attention-0.1-py3-none-any.whl"
    files = {
        "mean_attention.py": open("mean_attention.py").read(),
        f"{INFO}/METADATA": "Metadata-Version: 2.1\\nName: spikebench-mean-attention\\nVersion: 0.1\\n",
        f"{INFO}/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
        f"{INFO}/entry_points.txt": "[spikebench.attentions]\\nmean_attention = mean_attention:Attention\\n",
    }
    record = "".join(f"{path},,\\n" for path in files) + f"{INFO}/RECORD,,\\n"
    with zipfile.ZipFile(f"{folder}/{name}", "w") as wheel:
        for path, text in {**files, f"{INFO}/RECORD": record}.items():
            wheel.writestr(path, text)
    return name
'''

MODULE = '''"""Every token gets the mean of all values (an example, 2026)."""

from dataclasses import dataclass

from spikebench.networks.attentions._base import AttentionOptions, QKVAttention


@dataclass(frozen=True)
class MeanOptions(AttentionOptions):
    """``gain``: of the mean."""

    gain: float = 1.0


class Attention(QKVAttention):
    """No Q and no K."""

    Options = MeanOptions
    inputs = ("v",)

    def mix(self, v):
        return v.mean(3, keepdim=True).expand_as(v) * self.options.gain
'''

USE = """
import json, torch
from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks import build, check

inputs = InputSpec(1, 8, 3)
spec = VariantSpec(depth=1, dim=16, num_heads=2, T=2).replace(attention={"name": "mean_attention", "gain": 2.0})
model = build(spec, inputs)
loss, logits = model.loss(torch.rand(4, 1, 8, 8), torch.arange(4) % 3)
loss.backward()
wrong = spec.replace(attention={"name": "mean_attention", "gian": 2.0})
registry = REGISTRIES["attentions"]
print(json.dumps({
    "described": registry.describe("mean_attention"),
    "origin": registry.origin("mean_attention"),
    "home": type(model.blocks[0].attention).__module__,
    "learned": model.blocks[0].attention.v.linear.weight.grad is not None,
    "problems": [str(problem) for problem in check(wrong, inputs)],
    "canonical": spec.canonical()["attention"],
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that the package was installed into, and the environment to run Python with it."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "source").mkdir()
    (folder / "source" / "pyproject.toml").write_text(PROJECT)
    (folder / "source" / "backend.py").write_text(BACKEND)
    (folder / "source" / "mean_attention.py").write_text(MODULE)
    target = folder / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*pip, "--target", target, folder / "source"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {**os.environ, "COLUMNS": "200", "PYTHONPATH": os.pathsep.join([str(target), str(ROOT)])}


def test_a_third_partys_attention_is_listed_built_trained_and_checked(installed):
    done = subprocess.run([sys.executable, "-c", USE], env=installed, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "described": "Every token gets the mean of all values (an example, 2026).",
        "origin": "spikebench-mean-attention",
        "home": "mean_attention",
        "learned": True,
        "problems": [
            "attention.gian: mean_attention has no option 'gian'; did you mean 'gain'? (known: bias, gain, v_threshold)"
        ],
        "canonical": {"name": "mean_attention", "gain": 2.0},
    }


SUITE = """
suite: plugin
dataset: digits
variants:
  base: spikformer-2-64
  grid:
    attention: [ssa, mean_attention]
seeds: [0]
train: {epochs: 1}
measure: [accuracy]
"""


def test_a_suite_names_it_like_one_of_ours(installed, tmp_path):
    suite = tmp_path / "plugin.yaml"
    suite.write_text(SUITE)
    command = [sys.executable, "-m", "spikebench", "run", str(suite), "--plan", "--results", str(tmp_path / "results")]
    done = subprocess.run(command, env=installed, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mean_attention" in done.stdout
    without = subprocess.run(command, env={**installed, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert without.returncode == 2
    assert "mean_attention" in without.stderr
    assert "Traceback" not in without.stderr
