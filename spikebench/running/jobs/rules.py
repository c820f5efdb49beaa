"""What a suite file asks of the networks while it is checked (``core.suite.Networks``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spikebench.core.errors import Problem
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.checks import check, resolve

__all__ = ["check", "foreign", "pretrained", "pretraining", "resolve"]


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


def foreign(path: Path, layout: str, num_heads: int | None = None, ema: bool = False) -> tuple[VariantSpec, InputSpec]:
    """The network that somebody else's checkpoint is of, and the input that it was trained on. Raises InputError."""
    from spikebench.networks.foreign import read

    found = read(path, layout, num_heads=num_heads, ema=ema)
    return found.spec, found.inputs
