"""The gate on speed tried on real commits: some that change documentation only, and one that slows the numba LIF on purpose.

    python tests/benchmarks/real_changes.py --docs 10 --slow 2 --out results/reference/calibration/real_changes.jsonl

Everything happens in a clone of this repository in a temporary folder. Each decision is `check SUITE --against-ref HEAD~1` there;
its exit code and verdicts are appended at once, and decisions that OUT has already are not made again. Silent on documentation
means that no verdict is a failure; the slow commit must fail.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
KERNEL = Path("spikebench/kernels/lif/numba.py")
FAST = "    work(0, min(share, M))\n"
SLOW = "    for _ in range(4):\n        work(0, min(share, M))\n"
SUITE = """
suite: real-changes
question: Does the gate on speed see what is slower, and nothing else?
dataset: digits
variants:
  base: {preset: spikformer-2-64, dim: 64, depth: 1, num_heads: 2, T: 4, neuron: {name: lif, v_threshold: 0.0625}}
train: {epochs: 0, amp: "off"}
measure: [{latency: {batch_sizes: [32], backends: [numba]}}]
check: {latency: 5%}
"""


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=benchmark", "-c", "user.email=benchmark@example.org"]
    return subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True, text=True).stdout.strip()


def decide(clone: Path, suite: Path, max_time: str | None) -> dict[str, object]:
    """What `check` says of the last commit."""
    environment = {**os.environ, "PYTHONPATH": str(clone), "COLUMNS": "200"}
    verdicts = suite.with_suffix(".json")
    limit = ["--max-time", max_time] if max_time else []
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "spikebench", "check", str(suite), "--against-ref", "HEAD~1", "--json", str(verdicts), *limit],
        cwd=clone, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode not in (0, 1, 3):
        raise SystemExit(f"check ended with {done.returncode}:\n{done.stderr}")
    times = [one for one in json.loads(verdicts.read_text())["judgements"] if one["address"].startswith("latency")]
    return {
        "exit_code": done.returncode,
        "seconds": round(time.monotonic() - begun, 1),
        "worktrees": len(git(clone, "worktree", "list").splitlines()),
        "verdicts": [{name: one[name] for name in ("outcome", "message", "old", "new", "interval")} for one in times],
    }


def commit(clone: Path, kind: str, number: int) -> None:
    """One commit of this kind on top of the last one."""
    if kind == "docs":
        readme = clone / "README.md"
        readme.write_text(readme.read_text(encoding="utf-8") + f"\nA remark, the {number}th.\n", encoding="utf-8")
    else:
        git(clone, "reset", "-q", "--hard", "start")
        text = (clone / KERNEL).read_text(encoding="utf-8")
        if FAST not in text:
            raise SystemExit(f"{KERNEL} has changed: there is nothing to slow down where this script looks")
        (clone / KERNEL).write_text(text.replace(FAST, SLOW), encoding="utf-8")
    git(clone, "commit", "-qam", f"{kind} {number}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--docs", type=int, default=10, help="commits that change documentation only")
    parser.add_argument("--slow", type=int, default=2, help="decisions on the commit that slows the LIF")
    parser.add_argument("--max-time", help="of one decision, as check takes it")
    parser.add_argument("--minutes", type=float, default=120.0, help="no decision begins after so many")
    parser.add_argument("--out", type=Path, default=Path("results/reference/calibration/real_changes.jsonl"))
    asked = parser.parse_args()
    out = asked.out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    known = {(line["kind"], line["number"]) for line in map(json.loads, out.read_text().splitlines())} if out.exists() else set()
    end = time.monotonic() + 60 * asked.minutes
    with tempfile.TemporaryDirectory(prefix="spikebench-real-changes-") as folder:
        clone, suite = Path(folder) / "clone", Path(folder) / "real-changes.yaml"
        git(ROOT, "clone", "-q", str(ROOT), str(clone))
        git(clone, "tag", "start")
        suite.write_text(SUITE, encoding="utf-8")
        for kind, count in (("slow", asked.slow), ("docs", asked.docs)):
            git(clone, "reset", "-q", "--hard", "start")
            for number in range(count):
                commit(clone, kind, number)
                if (kind, number) in known or time.monotonic() > end:
                    continue
                found = {
                    "kind": kind,
                    "number": number,
                    "commit": git(ROOT, "rev-parse", "HEAD"),
                    **decide(clone, suite, asked.max_time),
                }
                with out.open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(found, ensure_ascii=False) + "\n")
                words = "; ".join(str(one["message"]) for one in found["verdicts"])  # type: ignore[union-attr]
                print(f"{kind} {number}: exit {found['exit_code']} in {found['seconds']} s: {words}", flush=True)


if __name__ == "__main__":
    main()
