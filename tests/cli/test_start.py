"""The command starts without what it does not need."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "pandas", "scipy", "matplotlib", "sklearn", "optuna", "numba", "spikingjelly")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["list"],
        ["list", "attentions"],
        ["list", "layouts"],
        ["list", "metrics"],
        ["list", "harnesses", "train"],
        ["--version"],
        ["run", "--help"],
    ],
)
def test_help_and_list_import_nothing_heavy(arguments: list[str]) -> None:
    program = f"""
import sys
sys.argv = ["spikebench", *{arguments!r}]
from spikebench.__main__ import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
loaded = [name for name in {HEAVY!r} if name in sys.modules]
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_importing_the_package_imports_no_torch() -> None:
    program = "import sys, spikebench; spikebench.InputSpec; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
