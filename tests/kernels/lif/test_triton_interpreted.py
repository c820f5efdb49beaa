"""The Triton kernels' numbers without a GPU: ``test_backends.py`` once more, under Triton's interpreter, in a process
of its own.

Triton reads TRITON_INTERPRET when a kernel is defined, so it cannot be switched on here.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="with a GPU the kernels are tested on it")
@pytest.mark.skipif(os.environ.get("TRITON_INTERPRET") == "1", reason="this is the inner run")
def test_kernels_under_the_interpreter() -> None:
    pytest.importorskip("triton", reason="triton is not installed")
    here = Path(__file__).parent
    files = [here / "test_backends.py", *here.parent.glob("bn_lif/test_bn_lif.py")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *map(str, files)],
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
