"""Results of code that was edited since: said by name, and not reused where the component says that it means something else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import warm

MODULE = '''"""Queries alone (an example, 2026)."""

from spikebench.networks.attentions.ssa import Attention as Published


class Attention(Published):
    """The published one by another name."""
'''

SUITE = """
suite: tiny
dataset: digits
variants: {base: {preset: spikformer-2-64, depth: 1, dim: 16, num_heads: 2, T: 2, attention: mine}}
train: {epochs: 0}
measure: [{activity: {samples: 4}}]
report: {formats: [csv]}
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    """A package of somebody else in a folder of its own, as pip leaves it there; no git knows it."""
    info = tmp_path / "site/mine-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 0.1\n")
    (info / "entry_points.txt").write_text("[spikebench.attentions]\nmine = mine:Attention\n")
    (info / "RECORD").write_text("mine.py,,\nmine-0.1.dist-info/METADATA,,\n")
    (tmp_path / "site/mine.py").write_text(MODULE)
    (tmp_path / "tiny.yaml").write_text(SUITE)
    return tmp_path / "site/mine.py"


def run(plugin: Path) -> str:
    env = warm.environment()
    env["PYTHONPATH"] = os.pathsep.join([str(plugin.parent), env["PYTHONPATH"]])
    done = warm.run("run", "tiny.yaml", cwd=plugin.parents[1], env=env)
    assert done.returncode == 0, done.stderr
    return " ".join(done.stderr.split())


def test_an_edited_plugin_is_named_and_a_new_version_measured_anew(plugin: Path) -> None:
    assert "2 to do" in run(plugin)
    same = run(plugin)
    assert "0 to do" in same
    assert "other code" not in same
    plugin.write_text(MODULE + "# edited, and never committed\n")
    edited = run(plugin)
    assert "2 of 2 reused jobs were measured with other code: mine (0.1, its files were edited)" in edited
    assert "0 to do" in edited
    plugin.write_text(MODULE + "\n    version = 2\n")
    assert "0 reused, 2 to do" in run(plugin)
