"""A package of somebody else, built and installed offline: its tests pass, and a suite names its parts like ours."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "tests" / "plugin_example"

USE = """
import json
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks import check

spec = VariantSpec(depth=1, dim=16, num_heads=2, T=2)
wrong = spec.replace(attention={"name": "mean_value", "gian": 2.0})
registry = REGISTRIES["attentions"]
print(json.dumps({
    "described": registry.describe("mean_value"),
    "origin": registry.origin("mean_value"),
    "problems": [str(problem) for problem in check(wrong, InputSpec(1, 8, 3))],
    "canonical": spec.replace(attention={"name": "mean_value", "gain": 2.0}).canonical()["attention"],
}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment to run Python in, with the package installed."""
    target = tmp_path_factory.mktemp("plugin") / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    done = subprocess.run([*pip, "--target", target, EXAMPLE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return {**os.environ, "COLUMNS": "200", "PYTHONPATH": os.pathsep.join([str(target), str(ROOT)])}


def test_its_own_tests_pass(installed: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(EXAMPLE / "tests")]
    done = subprocess.run(command, env=installed, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout


def test_its_attention_is_listed_and_checked(installed: dict[str, str]) -> None:
    done = subprocess.run([sys.executable, "-c", USE], env=installed, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "described": "Every token gets the mean of all values (an example, 2026).",
        "origin": "spikebench-example",
        "problems": ["attention.gian: mean_value has no option 'gian'; did you mean 'gain'? (known: bias, gain, v_threshold)"],
        "canonical": {"name": "mean_value", "gain": 2.0},
    }


def test_a_suite_names_its_parts_like_ours_and_the_table_has_its_metric(installed: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "spikebench", "run", str(EXAMPLE / "suite.yaml"), "--results", str(tmp_path / "results")]
    done = subprocess.run(command, env=installed, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "mean_value" in done.stdout
    assert "Zero weights" in done.stdout


def test_without_the_package_the_names_are_unknown(installed: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "spikebench", "run", str(EXAMPLE / "suite.yaml"), "--plan", "--results", str(tmp_path)]
    done = subprocess.run(command, env={**installed, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 2
    assert "stripes" in done.stderr
    assert "Traceback" not in done.stderr
