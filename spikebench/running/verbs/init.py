"""What the verb ``init`` does: write a suite that runs as it is, with a word on each key."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import yaml

from spikebench.core import yaml_nodes
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem, StorageError, nearest, storage_errors
from spikebench.core.grid import preset
from spikebench.core.registry import REGISTRIES
from spikebench.core.suite import samples_of
from spikebench.core.suite_reader import from_document
from spikebench.running.verbs.show import guess_inputs

SMALL = "spikformer-2-64"
"""The preset for whoever names none: trained in a minute, on the bundled digits or on small images."""
LEAST_STEPS = 240
"""As many as the bundled digits get, which are learned in them."""
COMPARISON = """  grid:  # every combination of these is trained
    stem: [sps, scs]
    attention: [ssa, softmax]"""
TRAINING = """train:  # all options, with defaults: spikebench list harnesses train
  epochs: {epochs}
  batch_size: {batch}
  lr: 4.0e-3  # with a point: YAML reads 4e-3 as text
  warmup_epochs: 1
measure: [accuracy, activity]  # also latency, memory, power, ...: spikebench list harnesses
energy: [spikformer-paper]  # an estimate from the counts; others: spikebench list profiles"""
COST = """train: none  # there is nothing to learn in random numbers: this is about cost alone
measure: [latency, memory]  # what else can be measured: spikebench list harnesses
energy: []  # firing rates of untrained networks mean nothing"""


def write_suite(about: Sequence[str], out: Path) -> str:
    """Write a suite about a folder of images, a preset, or both, to ``out``; returns what to do next.

    Raises InputError for what is neither, and where such a suite would not run; StorageError if ``out`` is there already.
    """
    if out.exists():
        raise StorageError(f"{out} is there already: give another --out, or remove it")
    name, folder = _understood(about)
    from spikebench.running.jobs import rules

    try:
        text = suite_text(name, folder, out.parent)
        from_document(yaml_nodes.parse(text, str(out)), rules)
    except InputError as error:
        if folder is None:
            raise
        # Lines of a file that nobody has written yet would only confuse.
        problems = [replace(problem, file=None, line=None, column=None) for problem in error.problems]
        raise InputError([*problems, Problem("how a folder of images is sorted and split: spikebench guide data")]) from None
    with storage_errors(out):
        out.write_text(text, encoding="utf-8")
    return f"{out}: written. What it would do: spikebench run {out} --plan; do it: spikebench run {out}"


def _understood(about: Sequence[str]) -> tuple[str, Path | None]:
    """The preset and the folder."""
    presets = [name for name in about if name in REGISTRIES["presets"]]
    folders = [Path(name) for name in about if name not in presets]
    for folder in folders:
        if not folder.is_dir():
            known = nearest(folder, REGISTRIES["presets"])
            raise InputError(f"{str(folder)!r} is neither a folder nor a preset{known}")
    if len(presets) > 1 or len(folders) > 1:
        raise InputError(f"expected one folder of images, one preset, or one of each, got {', '.join(about)}")
    return (presets or [SMALL])[0], (folders or [None])[0]  # type: ignore[list-item]


def suite_text(name: str, folder: Path | None, beside: Path) -> str:
    """The suite as it is written; paths as seen from ``beside``."""
    dataset, remark = _dataset(name, folder, beside)
    learns, fields = dataset.name != "random", preset(name)
    ours = Choice.parse(fields.get("family", "spikformer")).name == "spikformer"
    compares = ours and name == SMALL
    question = "What does this network cost?"
    if learns:
        question = f"Which stem and which attention{' on my images' if folder else ''}?" if compares else "What does it achieve?"
    title = re.sub(r"[^A-Za-z0-9._-]", "-", folder.resolve().name if folder else name).lstrip(".-_")[:100] or "images"
    batch, epochs = _steps(_training_files(folder) if folder else samples_of(dataset, "train"))
    lines = [
        "# Every key is explained by `spikebench guide suite`, every name listed by `spikebench list`.",
        f"suite: {title}",
        f"question: {question}",
        *(f"# {line}" for line in remark),
        f"dataset: {_flow(dataset)}",
        "variants:",
        f"  base: {name}  # a preset{f', or {{preset: {name}, depth: 1}}, with fields that differ' if ours else ''}",
        *(
            [COMPARISON]
            if compares
            else ["  # grid: {neuron: [lif, plif]}  # every combination of what stands here"]
            if ours
            else []
        ),
        f"seeds: {[0, 1, 2] if learns else [0]}  # each variant is trained with each; fewer than three tell little",
        TRAINING.format(batch=batch, epochs=epochs) if learns else COST,
        "report:",
        *(["  baseline: {stem: sps, attention: ssa}  # what the others are compared with"] if compares else []),
        "  formats: [markdown, csv, html]",
        "launcher: processes  # one for each core",
    ]
    return "\n".join(lines) + "\n"


def _steps(samples: int | None) -> tuple[int, int]:
    """Batch size and epochs: of few samples small batches and more epochs, or a network takes too few steps to begin to fire."""
    known = max(1, samples or LEAST_STEPS * 64)
    batch = min(64, known, max(8, 2 ** int(math.log2(max(1, known / 16)))))
    return batch, max(12, math.ceil(LEAST_STEPS * batch / known))


def _training_files(folder: Path) -> int:
    """About how many; a folder of classes alone is divided."""
    divided = (folder / "train").is_dir()
    files = sum(path.is_file() for path in (folder / "train" if divided else folder).rglob("*"))
    return files if divided else round(0.7 * files)


def _dataset(name: str, folder: Path | None, beside: Path) -> tuple[Choice, Sequence[str]]:
    """The data that a suite about this preset can have at once, with what to say of them."""
    inputs = guess_inputs(name)
    if folder is not None:
        size = 32 if inputs.size == 8 else inputs.size
        said = [f"Each image's shorter side becomes {size} pixels. All options: spikebench list datasets folder"]
        if not (folder / "train").is_dir():
            said.append(
                "Of each class about 70 % are trained on, 10 % are for validation and 20 % for test: always the same files."
            )
        root = str(folder) if folder.is_absolute() else os.path.relpath(folder, beside)
        return Choice("folder", {"root": root, "size": size}), said
    if inputs.size == 8:
        return Choice("digits"), ["Bundled: 1,797 digits of 8x8 pixels. Your own: spikebench guide data"]
    if inputs.size == 32:
        said = ["Bundled: 5,000 MNIST digits, as large as the images that the preset was published with. Those themselves:"]
        return Choice("mnist5k"), [*said, "dataset: {cifar10: {root: data}}. Your own: spikebench guide data"]
    shape = {"channels": inputs.channels, "size": inputs.size, "classes": inputs.classes}
    events = {"events": True, "T": preset(name).get("T", 4)} if inputs.events else {}
    said = ["Random numbers, as large as the images that the preset was published with. Your own: spikebench guide data"]
    return Choice("random", {**shape, **events}), said


def _flow(choice: Choice) -> str:
    """As ``{folder: {root: photos}}``."""
    if not choice.options:
        return choice.name
    plain = {choice.name: dict(choice.options)}
    return str(yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=1000, allow_unicode=True)).strip()
