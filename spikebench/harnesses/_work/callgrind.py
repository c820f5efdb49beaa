"""Instructions of one pass as valgrind's callgrind simulates them, in a process of its own: exact to some hundreds, and slow.

The processor that callgrind shows has no AVX-512 and no AMX, so kernels may be others than outside; both sides of a comparison
run the same way.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from torch import nn

from spikebench.core.protocols import Subject
from spikebench.harnesses._timing.outcome import UnavailableError
from spikebench.harnesses._ways.ways import Way
from spikebench.harnesses._work.innermost import cut

TOTALS = re.compile(r"^(?:summary|totals): (\d+)", re.M)
OPTIONS = ("--tool=callgrind", "--instr-atstart=yes", "--collect-atstart=no")


def by_layer(subject: Subject, way: Way, batch_size: int) -> Counter[str]:
    """Instructions of a pass by the innermost module whose forward pass ran; "" is the rest.

    Raises UnavailableError where there is no valgrind, or one that cannot run this Python; on a GPU, whose kernels it does not
    see.
    """
    program = shutil.which("valgrind")
    if program is None:
        raise UnavailableError("valgrind is not installed")
    if subject.device.type != "cpu":
        raise UnavailableError("callgrind sees a CPU's instructions alone")
    with tempfile.TemporaryDirectory(prefix="spikebench-callgrind-") as folder:
        order = Path(folder) / "order"
        order.write_bytes(pickle.dumps((subject, way, batch_size)))
        out = Path(folder) / "out"
        command = [program, *OPTIONS, f"--callgrind-out-file={out}", sys.executable, "-m", __name__, str(order)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, check=False)
        layers = order.with_suffix(".layers")
        if done.returncode or not layers.is_file():
            said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
            raise UnavailableError(f"callgrind could not run the pass (exit code {done.returncode}): {said}")
        return added(json.loads(layers.read_text(encoding="utf-8")), out)


def added(layers: Sequence[str], out: Path) -> Counter[str]:
    """The dumps in their order, each of the layer that ran until it was made."""
    found: Counter[str] = Counter()
    for number, layer in enumerate(layers, 1):
        match = TOTALS.search(out.with_name(f"{out.name}.{number}").read_text(encoding="utf-8", errors="replace"))
        found[layer] += int(match[1]) if match else 0
    return found


def _pass(order: Path) -> None:
    """What runs inside valgrind."""
    import torch

    from spikebench.harnesses._ways.contender import Contender, first_batch, settle

    subject, way, batch_size = pickle.loads(order.read_bytes())
    x, y = first_batch(subject.dataset, batch_size, subject.device)
    contender = Contender(settle(subject.model, first_batch(subject.dataset, 8, subject.device)[0]), way, x, y)
    for _ in range(2):
        contender()
    layers = watched(contender.model, contender, torch._C._valgrind_toggle, torch._C._valgrind_toggle_and_dump_stats)
    order.with_suffix(".layers").write_text(json.dumps(layers), encoding="utf-8")


def watched(model: nn.Module, run: Callable[[], object], begin: Callable[[], None], dump: Callable[[], None]) -> list[str]:
    """Run a pass, dumping at every change of the innermost module; returns whose each dump is."""
    layers: list[str] = []

    def end(layer: str) -> None:
        dump()
        layers.append(layer)

    cut(model, run, begin, end)
    return layers


if __name__ == "__main__":
    _pass(Path(sys.argv[1]))
