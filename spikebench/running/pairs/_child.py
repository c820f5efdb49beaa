"""What the processes of a side do: a file that any version of spikebench can be made to run, so it is named by its path.

``python -P _child.py [MODULE...]`` imports the modules, says ``ready``, reads one line that names an order (JSON), carries it out
and writes its answer (JSON) beside it. It asks the version that it finds for no more than what ``run`` has always been made of:
reading a suite, its cells and jobs, and executing a job.

Lines on standard output, all that is ever there: ``ready``, and ``turn`` where the process lets others have theirs, and waits for
a line ``go``. What libraries print goes to standard error.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1
"""linux: include/uapi/linux/prctl.h."""
FIRST = ("first_call",)
"""Times of a single call: no median, so nothing that pairs could decide."""


def main() -> None:
    say = _standard_output()
    _end_with_parent()
    for name in sys.argv[1:]:
        try:
            importlib.import_module(name)
        except ImportError:  # a version without it, or without what it needs: the order that needs it will say so
            continue
    say("ready")
    order = _line()
    if order:
        carry_out(Path(order), _turns(say))


def carry_out(order_file: Path, hand_over: Callable[[], None]) -> None:
    """Answer one order."""
    order = json.loads(order_file.read_text(encoding="utf-8"))
    try:
        answer = {"timing": _time, "counting": _count}[order["task"]]({**order, "hand_over": hand_over})
    except ImportError as error:
        answer = {"error": f"{sys.executable} cannot import what it needs: {error}"}
    except Exception as error:
        answer = {"error": _words(error)}
    answer["files"] = _files(order["roots"])
    part = order_file.with_suffix(".part")
    part.write_text(json.dumps(answer), encoding="utf-8")
    part.rename(order_file.with_suffix(".answer"))


def _standard_output() -> Callable[[str], None]:
    """Lines to whoever started this; from now on all that is printed goes to standard error."""
    out = os.dup(1)
    os.dup2(2, 1)

    def say(line: str) -> None:
        os.write(out, f"{line}\n".encode())

    return say


def _line() -> str:
    """The next line of standard input, "" at its end."""
    return sys.stdin.readline().strip()


def _turns(say: Callable[[str], None]) -> Callable[[], None]:
    """What lets the others have their turns. One thread reads standard input all the time: when it closes, whatever ended the
    parent, nobody waits for an answer."""
    goes: queue.SimpleQueue[None] = queue.SimpleQueue()

    def watch() -> None:
        while _line():
            goes.put(None)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

    def hand_over() -> None:
        say("turn")
        goes.get()

    return hand_over


def _count(order: dict[str, Any]) -> dict[str, Any]:
    """Everything but times, once: trainings, counts and, beside each timing job, the work that it does."""
    suite, jobs = _suite(order)
    folder = _folder(suite, order)
    timing: list[list[Any]] = []
    failures: list[str] = []
    for (cell, place), job in jobs.items():
        if _exclusive(job):
            timing.append([cell, place, job.harness.name])
            extra = _work(job, {one.name: one.options for one in suite.measure})
            if isinstance(extra, str):
                failures.append(extra)
            else:
                failures += [f"{one.harness.name}: {reason}" for one in extra if (reason := _run(one, folder / "work")[1])]
        else:
            _run(job, folder / "results")
    return {"timing": timing, "cells": len(suite.cells), "work": list(dict.fromkeys(failures)), **_identity()}


def _time(order: dict[str, Any]) -> dict[str, Any]:
    """The times of the timing jobs that are asked for, each measured for ``window`` seconds: of every turn, where turns were
    taken, else one median."""
    from spikebench.core.cells import Job
    from spikebench.core.choice import Choice

    suite, jobs = _suite(order)
    folder = _folder(suite, order)
    taken = _take_turns(order["hand_over"]) if order["abreast"] else lambda: 0
    times: list[list[Any]] = []
    failures: dict[str, str] = {}
    for cell, place in order["jobs"]:
        job = jobs[cell, place]
        options = dict(job.harness.options)
        if hasattr(job.harness.resolve("harnesses"), "seconds"):
            options["seconds"] = order["window"]
        before = taken()
        records, reason = _run(Job(job.cell, Choice(job.harness.name, options), job.device), folder / "results")
        in_turns = taken() > before
        if reason:
            failures[job.harness.name] = reason
        for record in records:
            if record.unit == "s" and record.value and not record.scope and record.metric not in FIRST:
                # How memory is allocated is the same on both sides, and a version that does not know it does not say it.
                conditions = {name: str(value) for name, value in record.conditions.items() if name != "malloc"}
                values = record.samples if in_turns and record.samples else [record.value]
                times.append([cell, record.metric, conditions, list(map(float, values))])
    return {"times": times, "failures": failures}


def _take_turns(hand_over: Callable[[], None]) -> Callable[[], int]:
    """How many turns were taken so far; none ever, where this version knows of none."""
    try:
        from spikebench.harnesses._timing import turns
    except ImportError:
        return lambda: 0
    joined = turns.join(hand_over)
    return lambda: joined.taken


def _suite(order: dict[str, Any]) -> tuple[Any, dict[tuple[int, int], Any]]:
    """The suite, and its jobs by cell and place in the cell."""
    from spikebench.core import own_files, yaml_nodes
    from spikebench.core.suite_reader import from_document
    from spikebench.running.jobs import rules
    from spikebench.running.jobs.plan import resolve_device

    suite = from_document(yaml_nodes.parse(order["text"], order["suite"]), rules)
    own_files.use(suite.own)
    device = resolve_device(suite.device)
    return suite, {(c, j): job for c, cell in enumerate(suite.cells) for j, job in enumerate(suite.jobs(cell, device))}


def _folder(suite: Any, order: dict[str, Any]) -> Path:
    """Where results go, made as a run makes it."""
    import yaml

    from spikebench.core.store import ResultsFolder

    folder = Path(order["folder"])
    for name in ("results", "work"):
        store = ResultsFolder(folder / name).create()
        if store.suite_text() is None:
            store.put_suite(yaml.safe_dump(dict(suite.data), sort_keys=False, allow_unicode=True))
            for cell in suite.cells:
                store.put_facts("cells", cell.cell_id, cell.to_plain())
    return folder


def _run(job: Any, folder: Path) -> tuple[list[Any], str]:
    """A job's records, and why it failed if it did."""
    from spikebench.running.jobs.events import JobEnded, Measured
    from spikebench.running.jobs.execute import execute

    records, reason = [], ""
    for event in execute(job, folder, fresh=True):
        if isinstance(event, Measured):
            records.append(event.record)
        elif isinstance(event, JobEnded):
            reason = event.failure
    return records, reason


def _exclusive(job: Any) -> bool:
    from spikebench.core.registry import REGISTRIES

    return bool(REGISTRIES["harnesses"].get(job.harness.name).exclusive)


def _work(job: Any, asked_for: dict[str, Any]) -> list[Any] | str:
    """Jobs that count what a timing job does, with the same batches and ways; why there are none. How instructions are counted is
    what the suite's own ``work`` says."""
    from spikebench.core.cells import Job
    from spikebench.core.choice import Choice
    from spikebench.core.registry import REGISTRIES

    if "work" not in REGISTRIES["harnesses"]:
        return "this version of spikebench has no harness `work`"
    asked = job.harness.resolve("harnesses")
    found = []
    for name in ("work", "memory"):
        fields = {field.name for field in dataclasses.fields(REGISTRIES["harnesses"].options(name))}
        shared = [field for field in ("batch_sizes", "dtypes", "backends", "phases") if field in fields]
        if not all(hasattr(asked, field) for field in shared):
            return f"the work of {job.harness.name} cannot be counted: it has no batch sizes and ways"
        how = {key: value for key, value in asked_for.get(name, {}).items() if key == "instructions"}
        options = {**how, **{field: list(getattr(asked, field)) for field in shared}}
        found.append(Job(job.cell, Choice(name, options), job.device))
    return found


def _identity() -> dict[str, Any]:
    import torch

    from spikebench.core.source import source
    from spikebench.running.jobs.identity import here

    return {"machine_id": here().machine_id, "source": source(), "torch": torch.__version__, "threads": torch.get_num_threads()}


def _files(roots: list[str]) -> dict[str, str]:
    """Modules that were imported from below the roots, this file apart."""
    places = [os.path.realpath(root) + os.sep for root in roots]
    files = {name: getattr(module, "__file__", None) for name, module in list(sys.modules.items())}
    real = {name: os.path.realpath(file) for name, file in files.items() if file and os.path.isabs(file)}
    own = os.path.realpath(__file__)
    return {name: file for name, file in real.items() if file != own and any(file.startswith(place) for place in places)}


def _words(error: Exception) -> str:
    """What a user can act upon: our errors are whole sentences, others get their kind and place."""
    if any(base.__name__ == "SpikebenchError" for base in type(error).__mro__):
        return str(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({frame.filename}:{frame.lineno})"


def _end_with_parent() -> None:
    """Linux is asked to kill this process at once when its parent ends: where the machine is loaded, a thread may wait long for
    its turn."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    main()
