"""A training step and a pass of Spikformer-4-384 (32x32, T = 4, batch 16, fp32) as users run it, ours or the released code:

    python tests/benchmarks/as_users.py {ours,theirs}

Each in a process of its own, with the threads that torch takes by itself. Theirs: the released layout, SpikingJelly's neurons
with their default backend, the system's allocator. Ours: the allocator that every verb sets. Prints JSON: the shortest of
``ROUNDS`` calls, in seconds of the processor and of the clock.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

ROUNDS = 3


def shortest(call: Callable[[], Any]) -> dict[str, float]:
    call()
    found = []
    for _ in range(ROUNDS):
        clock, processor = time.perf_counter(), time.process_time()
        call()
        found.append((time.process_time() - processor, time.perf_counter() - clock))
    return {"processor": min(used for used, _ in found), "clock": min(passed for _, passed in found)}


def main(side: str) -> None:
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.benchmarks.test_networks import CIFAR10, inference, released, training_step

    torch.manual_seed(0)
    if side == "ours":
        from spikebench.core import allocator
        from spikebench.networks import build
        from spikebench.networks.presets import load

        allocator.keep()
        model = build(load("spikformer-4-384"), CIFAR10)
    else:
        model = released()
    found = {"training": shortest(training_step(model.train())), "inference": shortest(inference(model))}
    print(json.dumps({**found, "threads": torch.get_num_threads()}))


if __name__ == "__main__":
    main(sys.argv[1])
