"""The calibration of our own gate on speed: records process medians, then says what its rule does with them.

    python tests/benchmarks/calibrate.py record quiet --minutes 30     # 600 process medians, the machine left alone
    python tests/benchmarks/calibrate.py record loaded --minutes 45    # 600 more, a second process computing beside them
    python tests/benchmarks/calibrate.py decide equal --count 60 --minutes 90     # real decisions, both sides the same code
    python tests/benchmarks/calibrate.py decide busy --count 20 --minutes 40      # real decisions, one side with a 5 % busy loop
    python tests/benchmarks/calibrate.py evaluate                      # all of it into calibration.json and README.md

Every part may be stopped and started again: a median and a decision are appended to their file when they are there, under
results/reference/calibration/ (or --out). What is evaluated is what is there, with its numbers.

A process imports spikebench and torch anew, builds a small Spikformer, warms up and takes the median of its forward passes for
WINDOW seconds: what `check --against-ref` times, without the suite around it, so that a hundred minutes are enough.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from spikebench.core import instructions
from spikebench.derived import resampled
from spikebench.derived.paired_rule import PairedRule
from spikebench.derived.statistics import wilson
from spikebench.reading.gate.calibration import Calibration
from spikebench.reading.gate.timed import Key
from spikebench.running.pairs.rounds import Comparison

ROOT = Path(__file__).resolve().parents[2]
WINDOW = 0.5
ENOUGH = 600
TOLERANCE = 0.05
SLOWER = (0.03, 0.05, 0.10)
KEY = Key(0, "latency", (("phase", "inference"),))
PROCESS = """
import sys, time
from statistics import median
import torch
import spikebench
torch.set_num_threads(1)
torch.manual_seed(0)
model = spikebench.build("spikformer-2-64", "digits").eval()
x = torch.rand(16, 1, 8, 8)
window, busy = float(sys.argv[1]), float(sys.argv[2])
def call():
    begin = time.perf_counter()
    model(x)
    if busy:
        end = time.perf_counter() + busy * (time.perf_counter() - begin)
        while time.perf_counter() < end:
            pass
    return time.perf_counter() - begin
with torch.inference_mode():
    begin = time.perf_counter()
    while time.perf_counter() - begin < window / 2:
        call()
    begin, times = time.perf_counter(), []
    while time.perf_counter() - begin < window or len(times) < 10:
        times.append(call())
print(median(times))
"""
LOAD = "import torch\ntorch.set_num_threads(1)\na = torch.rand(512, 512)\nwhile True:\n    a = (a @ a).clamp(0, 1)\n"


def process(busy: float = 0.0) -> float:
    """The median of one fresh process, in seconds."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, str(WINDOW), str(busy)], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


@contextmanager
def beside(loaded: bool) -> Iterator[None]:
    """A second process that computes all the time, where one is asked for."""
    other = subprocess.Popen([sys.executable, "-c", LOAD]) if loaded else None
    try:
        yield
    finally:
        if other is not None:
            other.kill()
            other.wait()


def machine() -> str:
    return f"{instructions.cpu_info('model name') or platform.processor()}, {os.cpu_count()} cores"


def header(condition: str) -> dict[str, object]:
    return {"suite": "calibration", "machine_id": machine(), "source_id": "", "window": WINDOW, "condition": condition}


def record(out: Path, condition: str, minutes: float) -> None:
    trace = Calibration.begin(out / f"{condition}.jsonl", header(condition))
    end = time.monotonic() + 60 * minutes
    with beside(condition == "loaded"):
        while len(trace.seconds) < ENOUGH and time.monotonic() < end:
            begun = time.monotonic()
            trace.add({KEY: process()}, time.monotonic() - begun)
            if len(trace.seconds) % 20 == 0:
                print(f"{condition}: {len(trace.seconds)} of {ENOUGH}", flush=True)


def decide(out: Path, kind: str, count: int, minutes: float, loaded: bool) -> None:
    """Decisions with processes as they come, by the very rounds of the gate; ``busy``: the new side is 5 % slower."""
    path = out / f"decisions-{kind}{'-loaded' if loaded else ''}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    done = len(path.read_text().splitlines()) if path.exists() else 0
    end = time.monotonic() + 60 * minutes
    busy = {"base": 0.0, "new": TOLERANCE if kind == "busy" else 0.0}
    with beside(loaded):
        while done < count and time.monotonic() < end:
            begun = time.monotonic()
            found = Comparison(
                ("base", "new"), lambda side, keys: {KEY: process(busy[side])}, PairedRule(),
                lambda key, base: math.log1p(TOLERANCE), seed=done,
            )  # fmt: skip
            found.run()
            decision = found.decisions[KEY]
            line = {
                "outcome": decision.outcome, "pairs": decision.interval.n, "estimate": decision.interval.estimate,
                "seconds": round(time.monotonic() - begun, 1), "differences": found.medians.differences(KEY),
            }  # fmt: skip
            with path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
            done += 1
            print(f"{kind} {done} of {count}: {decision.outcome}, {decision.interval.n} pairs", flush=True)


def of_trace(medians: Sequence[float]) -> dict[str, object]:
    """What the rule does with a trace; None where it is shorter than one decision."""
    rule, allowed = PairedRule(), math.log1p(TOLERANCE)
    facts: dict[str, object] = {"medians": len(medians), "median": median(medians), "noise": resampled.spread_of(medians)}
    if len(medians) < 2 * rule.most:
        return {**facts, "reason": f"one decision needs {2 * rule.most} medians"}
    return {
        **facts,
        "equal": dict(resampled.outcomes(medians, rule, allowed)),
        "slower": {f"{slower:.0%}": dict(resampled.outcomes(medians, rule, allowed, slower)) for slower in SLOWER},
        "smallest found in 95 %": resampled.smallest_found(medians, rule, allowed),
        "detectable by formula": math.expm1(rule.detectable(resampled.spread_of(medians), allowed)),
    }


def evaluate(out: Path) -> dict[str, object]:
    traces = {path.stem: Calibration.read(path) for path in sorted(out.glob("*.jsonl")) if path.stem in ("quiet", "loaded")}
    found: dict[str, object] = {
        "machine": sorted({str(trace.header["machine_id"]) for trace in traces.values()}),
        "rule": f"{PairedRule()}, tolerance {TOLERANCE:.0%}",
        "resampling": f"{resampled.DECISIONS} decisions of contiguous, overlapping windows of each trace",
        "traces": {name: of_trace(trace.medians[KEY]) for name, trace in traces.items() if trace.seconds},
        "decisions": {path.stem: _counted(path) for path in sorted(out.glob("decisions-*.jsonl"))},
    }
    (out / "calibration.json").write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (out / "README.md").write_text(_page(found), encoding="utf-8")
    return found


def _counted(path: Path) -> dict[str, object]:
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
    parser.add_argument("task", choices=("record", "decide", "evaluate"))
    parser.add_argument("what", nargs="?", choices=("quiet", "loaded", "equal", "busy"))
    parser.add_argument("--minutes", type=float, default=30.0, help="nothing begins after so many")
    parser.add_argument("--count", type=int, default=60, help="decisions in all, those of earlier starts among them")
    parser.add_argument("--loaded", action="store_true", help="decide with a second process computing")
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "reference" / "calibration")
    asked = parser.parse_args()
    if asked.task == "record" and asked.what in ("quiet", "loaded"):
        record(asked.out, asked.what, asked.minutes)
    elif asked.task == "decide" and asked.what in ("equal", "busy"):
        decide(asked.out, asked.what, asked.count, asked.minutes, asked.loaded)
    elif asked.task == "evaluate":
        print(json.dumps(evaluate(asked.out), indent=1, ensure_ascii=False))
    else:
        parser.error("record quiet or loaded; decide equal or busy; evaluate")


if __name__ == "__main__":
    main()
