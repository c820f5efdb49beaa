"""What a suite file asks of the floors above core while it is checked (``core.suite.Rules``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spikebench.core.cells import Cell
from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.checks import check, resolve, width_of

__all__ = [
    "baseline",
    "check",
    "chip",
    "device",
    "foreign",
    "pretrained",
    "pretraining",
    "profile",
    "quirks",
    "resolve",
    "settled",
    "tolerances",
]


def pretraining(spec: VariantSpec, inputs: InputSpec, options: Any) -> Sequence[Problem]:
    """Why a network cannot be pre-trained so; keys are options of ``pretrain``, or fields of the variant."""
    from spikebench.networks.masked import masked_problems
    from spikebench.training.pretraining import masking_of, transfer_problem

    before = spec if options.T is None else spec.replace(T=options.T)
    found = [*masked_problems(before, inputs, masking_of(options))] or [*check(before, inputs)]
    reason = "" if found else transfer_problem(before, spec, inputs)
    return [*found, *([Problem(reason, key="T")] if reason else [])]


def pretrained(path: Path, spec: VariantSpec, inputs: InputSpec) -> str:
    """Why a network cannot start from the pre-trained one at ``path``; "" if it can."""
    from spikebench.core.errors import StorageError
    from spikebench.networks import build
    from spikebench.training import checkpoints
    from spikebench.training.pretraining import start_from

    try:
        state = checkpoints.read(path)
    except StorageError as error:
        return str(error)
    return start_from(build(spec, inputs), state) if isinstance(state, dict) else "holds no network"


def settled(stage: Choice, spec: VariantSpec, device: str) -> Choice:
    """A training stage with ``amp: auto`` replaced by what it means for this network on this machine: ``off`` or ``bf16``."""
    from spikebench.running.jobs.plan import resolve_device
    from spikebench.training.precision import settle

    if getattr(stage.resolve("harnesses"), "amp", None) != "auto":
        return stage
    return Choice(stage.name, {**stage.options, "amp": settle("auto", resolve_device(device), width_of(spec))})


def foreign(path: Path, layout: str, num_heads: int | None = None, ema: bool = False) -> tuple[VariantSpec, InputSpec]:
    """The network that somebody else's checkpoint is of, and the input that it was trained on. Raises InputError."""
    from spikebench.networks.foreign import read

    found = read(path, layout, num_heads=num_heads, ema=ema)
    return found.spec, found.inputs


def quirks(layout: str, asked: str) -> str:
    """The names of the released code's faults that are asked for, with commas; ``none``; "" where the layout has none known."""
    from spikebench.networks.layouts import LAYOUTS, Layout

    found = LAYOUTS.get(layout) or Layout(layout, "", (), (), {}, {}, 0)
    return ",".join(found.chosen(asked)) or ("none" if found.quirks else "")


def device(name: str) -> Sequence[Problem]:
    """Why nothing can run there on this machine; empty if it can."""
    if name != "cuda":
        return []
    import torch

    if torch.cuda.is_available():
        return []
    why = f"was built for CUDA {torch.version.cuda} and sees no CUDA device" if torch.version.cuda else "is a CPU build"
    return [Problem(f"no CUDA here: torch {why}; write auto or cpu")]


def profile(path: Path) -> Sequence[Problem]:
    """What is wrong with an energy profile of one's own."""
    from spikebench.derived.profile import load_profile

    try:
        load_profile(str(path))
    except InputError as error:
        return error.problems
    return []


def chip(path: Path) -> Sequence[Problem]:
    """What is wrong with a chip of one's own."""
    from spikebench.derived.chip import load_chip

    try:
        load_chip(str(path))
    except InputError as error:
        return error.problems
    return []


def tolerances(check: Mapping[str, Any]) -> Sequence[Problem]:
    """What is wrong with a ``check:`` block; keys are ``check.SELECTOR``."""
    from spikebench.reading.gate.tolerances import Tolerances

    try:
        Tolerances.parse(check)
    except InputError as error:
        return error.problems
    return []


def baseline(wanted: Mapping[str, Any], cells: Sequence[Cell], recipes: Sequence[str]) -> Sequence[Problem]:
    """Why ``report.baseline`` is not one of these cells; keys are its factors. ``recipes``: each one's name in the suite."""
    from spikebench.reading.model import factors

    rows: dict[str, dict[str, factors.Factor]] = {
        str(index): {**factors.flatten(cell.facts()), **({factors.RECIPE: name} if name else {})}
        for index, (cell, name) in enumerate(zip(cells, recipes, strict=True))
    }
    try:
        factors.find(wanted, rows)
    except InputError as error:
        return error.problems
    return []
