"""What was run, from what the folder says of itself: data, recipe, dates, machines and source."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.json_text import parse
from spikebench.core.suite import inputs_of, samples_of
from spikebench.core.variant import InputSpec
from spikebench.reading.model.factors import show
from spikebench.reading.model.frame import Frame
from spikebench.reading.model.splits_read import inputs_read, splits_read

SPLITS = ("train", "validation", "test")
LOG = "log.jsonl"


@dataclasses.dataclass(frozen=True)
class Fact:
    """``values``: one for all cells, or each that some cell has. ``given``: some suite or recipe says so; else the default."""

    name: str
    values: tuple[str, ...]
    given: bool = True

    @property
    def text(self) -> str:
        return ", ".join(self.values)


def datasets(frame: Frame) -> list[str]:
    """``digits: 1,257 train, 180 validation, 360 test images of 1x8x8, 10 classes``; what a data set cannot tell here, as one
    whose files are elsewhere, is what the jobs that read it have kept."""
    read = splits_read(frame)
    found = []
    for spelled in dict.fromkeys(json.dumps(cell.get("dataset"), sort_keys=True) for cell in frame.cells.values()):
        plain = json.loads(spelled)
        name = str(Choice.parse(plain)) if plain else "none"
        kept = read.get(spelled, {})
        inputs: InputSpec | None = None
        sizes: dict[str, int | None] = {}
        try:
            choice = Choice.parse(plain)
            inputs, sizes = inputs_of(choice), {split: samples_of(choice, split) for split in SPLITS}
        except (InputError, TypeError, ValueError):
            inputs = inputs_read(kept)
        if inputs is None:
            found.append(f"{name} (its size was not kept, and it is not known here)")
            continue
        counts = {split: kept[split]["samples"] if split in kept else sizes.get(split) for split in SPLITS}
        known = [f"{count:,} {split}" for split, count in counts.items() if count is not None]
        shape = f"{inputs.channels}x{inputs.size}x{inputs.size}, {inputs.classes} classes"
        what = f"{'recordings' if inputs.events else 'images'} of {shape}"
        found.append(f"{name}: {', '.join(known)} {what}" if known else f"{name}: {what}")
    return found


def recipe(frame: Frame, part: str = "training") -> list[Fact]:
    """The options of all trainings, defaults filled in; empty where nothing was trained. ``part``: or ``pretraining``."""
    found: dict[str, dict[str, None]] = {}
    given: set[str] = {"effective_batch"}
    for cell in frame.cells.values():
        if not cell.get(part):
            continue
        choice = Choice.parse(cell[part])
        try:
            options: Mapping[str, Any] = dataclasses.asdict(choice.resolve("harnesses"))
        except (InputError, TypeError):  # a harness or an option that is not known here
            options = choice.options
        given |= choice.options.keys()
        for name, value in {**options, **effective(options)}.items():
            found.setdefault(name, {})[_spelled(value)] = None
    return [Fact(name.replace("_", " "), tuple(values), name in given) for name, values in found.items()]


def effective(options: Mapping[str, Any]) -> dict[str, int]:
    """The images of one optimisation step, where several passes make one."""
    accumulated = options.get("accumulate") or 1
    batch = options.get("batch_size")
    return {"effective_batch": int(batch) * int(accumulated)} if isinstance(batch, int) else {}


def weights_measured(frame: Frame, cells: Iterable[str]) -> str:
    """With which weights these cells were measured: ``after the last epoch``, or, where cells differ, each that some have."""
    return " or ".join(dict.fromkeys(_weights_of(frame.cells[cell_id]) for cell_id in cells if cell_id in frame.cells))


def _weights_of(cell: Mapping[str, Any]) -> str:
    if cell.get("training"):
        training = Choice.parse(cell["training"]).options
        if training.get("epochs") != 0:
            best = training.get("best_epoch") == "use"
            return "after the epoch that was best on validation" if best else "after the last epoch"
    if cell.get("weights"):
        return "with the given weights, not trained here"
    # Whether that is a network as it is initialised, only its own function knows: somebody's may load what it likes.
    return "pre-trained and not trained further" if cell.get("pretraining") else "not trained here"


def precisions(frame: Frame) -> list[str]:
    """What trainings ran in, as their records say; accuracies are always taken in fp32."""
    return sorted({str(p) for r in frame.by_metric.get("epoch_loss", ()) if (p := r.conditions.get("precision")) is not None})


def seeds(frame: Frame) -> list[int]:
    return sorted({int(cell.get("seed", 0)) for cell in frame.cells.values()})


@dataclasses.dataclass(frozen=True)
class Session:
    """One command that filled a folder. ``seconds``: how long it took; None where it was killed, or wrote no log."""

    began: str
    seconds: float | None


def sessions(folder: Path) -> list[Session]:
    """From the folder's log, oldest first; lines that cannot be read are left out."""
    found: list[Session] = []
    for line in _lines(folder / LOG):
        if line.get("event") == "run":
            found.append(Session(str(line.get("time", "")), None))
        elif line.get("event") == "ended" and found and isinstance(line.get("seconds"), (int, float)):
            found[-1] = dataclasses.replace(found[-1], seconds=float(line["seconds"]))
    return found


def machines(frame: Frame) -> list[str]:
    """Each in one line: processor or GPUs, threads, and the libraries that compute."""
    found: dict[str, None] = {}
    for machine_id, facts in frame.machines.items():
        libraries = [f"{name} {facts[name]}" for name in ("torch", "triton", "numba", "cuda") if facts.get(name)]
        parts = [frame.machine_name(machine_id), f"{facts['cores']} cores" if facts.get("cores") else "", *libraries]
        found[", ".join(filter(None, parts))] = None
    return list(found)


def sources(frame: Frame) -> list[str]:
    """Each in one line: version, commit, whether files were changed, Python, and the plugins that were installed."""
    found: dict[str, None] = {}
    for source_id, facts in frame.sources.items():
        parts = [f"spikebench {facts.get('spikebench', 'of an unknown version')}"]
        parts += [f"commit {str(facts['commit'])[:16]}"] if facts.get("commit") else []
        parts += ["with local changes"] if facts.get("dirty") else []
        parts += [f"Python {facts['python']}"] if facts.get("python") else []
        parts += [f"{name} {version}" for name, version in dict(facts.get("plugins") or {}).items()]
        found[f"{', '.join(parts)} (source {source_id})"] = None
    return list(found)


def _lines(path: Path) -> Iterable[Mapping[str, Any]]:
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return
    for line in text.splitlines():
        try:
            found = parse(line)
        except ValueError:
            continue
        if isinstance(found, dict):
            yield found


def _spelled(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " and ".join(map(_spelled, value)) or "none"
    return "none" if value is None else show(value)
