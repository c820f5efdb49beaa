"""Records how long the chains of a mixed grid take, beside what ``--plan`` expects of them.

``python -m tests.benchmarks.cell_times FOLDER > tests/running/run/cell_times.csv``: what placement is held against.
"""

from __future__ import annotations

import csv
import os
import sys
from pathlib import Path

import yaml

from spikebench.running.jobs.events import JobEnded
from spikebench.running.run.estimate import estimate
from spikebench.running.run.runner import open_run
from spikebench.running.verbs.plan import differing, label

SUITE = {
    "suite": "cell-times",
    "dataset": "digits",
    "variants": {
        "base": {"preset": "spikformer-2-64", "num_heads": 2},
        "grid": {"attention": ["ssa", "softmax"], "dim": [16, 32, 64], "depth": [1, 2], "T": [1, 2, 4]},
    },
    "train": {"epochs": 3, "batch_size": 64},
    "measure": ["accuracy", {"activity": {"samples": 32}}],
    "launcher": {"inline": {"threads": 1}},
}


def main(folder: Path) -> None:
    path = folder / "cell-times.yaml"
    path.write_text(yaml.safe_dump(SUITE, sort_keys=False))
    run = open_run(path, folder / "results")
    expected = estimate(run.plan, 1, share=100.0).cells
    job_cells = {planned.job.job_id: planned.job.cell.cell_id for planned in run.plan.jobs}
    seconds: dict[str, float] = {}
    before = sum(os.times()[:2])
    for event in run.events():
        if isinstance(event, JobEnded):
            assert not event.failure
            # CPU time of the one thread: what other processes on the machine took is not the cell's.
            now = sum(os.times()[:2])
            cell = job_cells[event.job_id]
            seconds[cell] = seconds.get(cell, 0.0) + now - before
            before = now
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(("variant", "expected_s", "took_s"))
    fields = differing(cell for cell, _ in run.plan.cells)
    for cell, _ in run.plan.cells:
        guess = expected[cell.cell_id].seconds
        assert guess is not None
        writer.writerow((label(cell, fields), f"{guess:.2f}", f"{seconds[cell.cell_id]:.2f}"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
