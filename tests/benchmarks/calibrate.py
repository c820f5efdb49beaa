"""The calibration of our own gate on speed: real decisions on code that is equal and code that is 5 % slower, and what the rule
does with the trace of their pairs.

    python tests/benchmarks/calibrate.py decide equal --count 60 --minutes 60           # both sides the same code
    python tests/benchmarks/calibrate.py decide equal --loaded --count 30 --minutes 40  # a second process computing all the time
    python tests/benchmarks/calibrate.py decide busy --count 20 --minutes 30            # one side with a busy loop of 5 %
    python tests/benchmarks/calibrate.py evaluate                                       # all of it into calibration.json

Every part may be stopped and started again: a pair and a decision are appended to their files when they are there, under
results/reference/calibration/ (or --out). What is evaluated is what is there, with its numbers. ``taskset -c 0`` before it all
keeps one core for what is measured; the second process then takes the others.

Each pair is measured as `check --against-ref` does it, by the same code: two new processes time the forward pass of a small
Spikformer for half a second each, in turns. --alone is check's own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from random import Random
from statistics import median, stdev
from typing import Any

from spikebench.core import instructions
from spikebench.derived import resampled
from spikebench.derived.paired_rule import PairedRule
from spikebench.derived.statistics import wilson
from spikebench.reading.gate.calibration import Calibration
from spikebench.reading.gate.timed import Key, Timed
from spikebench.running.pairs.processes import crew, scratch_folder
from spikebench.running.pairs.rounds import Comparison
from spikebench.running.pairs.sides import Side, this_side
from spikebench.running.verbs.check_pairs import Effort, Measuring

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 0.05
SLOWER = (0.03, 0.05, 0.10)
BASE, NEW = "base", "new"
SUITE = """
suite: calibration
question: What does the gate on speed do with equal code, and with code that is 5 % slower?
dataset: digits
variants: {base: {family: {"network.py:make": {}}}}
train: none
measure: [{latency: {batch_sizes: [16]}}]
check: {latency: 5%}
"""
NETWORK = """
import os, time
import torch
import spikebench

BUSY = float(os.environ.get("SPIKEBENCH_CALIBRATION_BUSY", "0"))

class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.network = spikebench.build("spikformer-2-64", "digits")

    def forward(self, x):
        begin = time.perf_counter()
        y = self.network(x)
        end = time.perf_counter() + BUSY * (time.perf_counter() - begin)
        while time.perf_counter() < end:
            pass
        return y

def make(inputs):
    return Network()
"""
LOAD = """
import os, sys
if sys.argv[1:]:
    os.sched_setaffinity(0, map(int, sys.argv[1:]))
import torch
torch.set_num_threads(1)
a = torch.rand(512, 512)
while True:
    a = (a @ a).clamp(0, 1)
"""


@contextmanager
def beside(loaded: bool) -> Iterator[None]:
    """A second process that computes all the time, where one is asked for: on the cores that this one may not use, if there are
    any."""
    others = sorted(set(range(os.cpu_count() or 1)) - os.sched_getaffinity(0))
    other = subprocess.Popen([sys.executable, "-c", LOAD, *map(str, others)]) if loaded else None
    try:
        yield
    finally:
        if other is not None:
            other.kill()
            other.wait()


def machine() -> str:
    return f"{instructions.cpu_info('model name') or platform.processor()}, {os.cpu_count()} cores"


def sides(scratch: Path, slower: float) -> dict[str, Side]:
    """Both sides, the same code in the same place; the new one has a busy loop of ``slower`` of every call."""
    suite = scratch / "calibration.yaml"
    suite.write_text(SUITE, encoding="utf-8")
    (scratch / "network.py").write_text(NETWORK, encoding="utf-8")
    base, new = (dataclasses.replace(this_side(suite, SUITE, ROOT, scratch / name), paths=(str(ROOT),)) for name in (BASE, NEW))
    return {BASE: base, NEW: dataclasses.replace(new, extra={"SPIKEBENCH_CALIBRATION_BUSY": str(slower)})}


@dataclasses.dataclass
class Kept:
    """Measures rounds and appends each to the trace at once."""

    measuring: Measuring
    trace: Calibration

    def __call__(self, names: Sequence[str], keys: Sequence[Key]) -> Mapping[str, Timed]:
        begun = time.monotonic()
        found = self.measuring(names, keys)
        self.trace.add(found[BASE], found[NEW], time.monotonic() - begun)
        return found


def decide(out: Path, asked: argparse.Namespace) -> None:
    """Decisions by the very rounds of the gate, one after the other."""
    name = f"{asked.what}{'-loaded' if asked.loaded else ''}{'-alone' if asked.alone else ''}"
    path, effort = out / f"decisions-{name}.jsonl", Effort(alone=asked.alone)
    header = {"suite": "calibration", "machine_id": machine(), "condition": asked.condition, **effort.protocol}
    trace = Calibration.begin(out / f"pairs-{name}.jsonl", header)
    done = len(path.read_text().splitlines()) if path.exists() else 0
    end = time.monotonic() + 60 * asked.minutes
    with beside(asked.loaded), scratch_folder() as scratch:
        people = sides(scratch, TOLERANCE if asked.what == "busy" else 0.0)
        with crew(people, scratch) as members:
            counted = {NEW: {"timing": [[0, 0, "latency"]]}}
            measuring = Measuring(members, counted, [], effort.window, effort.alone, Random(done))
            while done < asked.count and time.monotonic() < end:
                begun = time.monotonic()
                found = Comparison(
                    (BASE, NEW), Kept(measuring, trace), PairedRule(), lambda key, base: math.log1p(TOLERANCE), seed=done
                )
                found.run()
                (key,) = found.decisions
                decision = found.decisions[key]
                line = {
                    "outcome": decision.outcome, "pairs": decision.interval.n, "estimate": decision.interval.estimate,
                    "seconds": round(time.monotonic() - begun, 1), "differences": found.medians.differences(key),
                }  # fmt: skip
                with path.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(line) + "\n")
                done += 1
                print(f"{name} {done} of {asked.count}: {decision.outcome}, {decision.interval.n} pairs", flush=True)


def of_trace(trace: Calibration) -> dict[str, object]:
    """What the rule does with a trace; the reason where it is shorter than one decision."""
    rule, allowed = PairedRule(), math.log1p(TOLERANCE)
    (key,) = trace.differences
    differences, medians = trace.differences[key], trace.medians[key]
    apart = [math.log(b / a) for a, b in zip(medians[::2], medians[1::2], strict=True)]
    facts: dict[str, object] = {
        "condition": trace.header["condition"], "processes": len(medians), "median": median(medians),
        "noise of a pair, turn by turn": stdev(differences), "noise of a pair, medians of whole processes": stdev(apart),
    }  # fmt: skip
    if len(differences) < rule.most:
        return {**facts, "reason": f"one decision needs {rule.most} pairs"}
    return {
        **facts,
        "equal": dict(resampled.outcomes(differences, rule, allowed)),
        "slower": {f"{slower:.0%}": dict(resampled.outcomes(differences, rule, allowed, slower)) for slower in SLOWER},
        "smallest found in 95 %": resampled.smallest_found(differences, rule, allowed),
        "detectable by formula": math.expm1(rule.detectable(stdev(differences), allowed)),
    }


def evaluate(out: Path) -> dict[str, object]:
    traces = {path.stem.removeprefix("pairs-"): Calibration.read(path) for path in sorted(out.glob("pairs-equal*.jsonl"))}
    found: dict[str, object] = {
        "machine": sorted({str(trace.header["machine_id"]) for trace in traces.values()}),
        "rule": f"{PairedRule()}, tolerance {TOLERANCE:.0%}",
        "resampling": f"{resampled.DECISIONS} decisions of contiguous, overlapping windows of each trace",
        "traces": {name: of_trace(trace) for name, trace in traces.items() if trace.seconds},
        "decisions": {path.stem.removeprefix("decisions-"): _counted(path) for path in sorted(out.glob("decisions-*.jsonl"))},
    }
    (out / "calibration.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "README.md").write_text(_page(found), encoding="utf-8")
    return found


def _counted(path: Path) -> dict[str, Any]:
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    outcomes = Counter(str(line["outcome"]) for line in lines)
    interval = wilson(outcomes["fail"], len(lines))
    return {
        "decisions": len(lines), **outcomes, "failed, 95 % interval": [interval.low, interval.high],
        "median seconds": median(line["seconds"] for line in lines), "pairs": sum(line["pairs"] for line in lines),
    }  # fmt: skip


def _page(found: dict[str, object]) -> str:
    return (
        "# Calibration of the gate on speed\n\n"
        "Written by `tests/benchmarks/calibrate.py evaluate` from the files beside it; how they are recorded stands there.\n"
        "Decisions from traces are resampled from contiguous windows, which overlap: they describe these traces, and are not\n"
        f"independent.\n\n```json\n{json.dumps(found, indent=1, ensure_ascii=False)}\n```\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("decide", "evaluate"))
    parser.add_argument("what", nargs="?", choices=("equal", "busy"), default="equal")
    parser.add_argument("--minutes", type=float, default=30.0, help="no decision begins after so many")
    parser.add_argument("--count", type=int, default=60, help="decisions in all, those of earlier starts among them")
    parser.add_argument("--loaded", action="store_true", help="decide with a second process computing")
    parser.add_argument("--alone", action="store_true", help="processes one after the other, without turns")
    parser.add_argument("--condition", default="not said", help="what else the machine did, in words")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "reference" / "calibration")
    asked = parser.parse_args()
    if asked.task == "decide":
        asked.out.mkdir(parents=True, exist_ok=True)
        decide(asked.out, asked)
    else:
        print(json.dumps(evaluate(asked.out), indent=1, ensure_ascii=False))


if __name__ == "__main__":
    main()
