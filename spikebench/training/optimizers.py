"""The optimizer of a training."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn

from spikebench.core.errors import InputError, Problem
from spikebench.training.layers import decayed
from spikebench.training.options import TrainingOptions


def make_optimizer(model: nn.Module, options: TrainingOptions) -> torch.optim.Optimizer:
    """AdamW (arXiv 1711.05101), SGD with momentum 0.9, or LAMB (arXiv 1904.00962) as timm has it; weight decay on parameters of
    two and more dimensions alone.

    The fused implementation where there is one: its arithmetic is the same, and small networks would spend more time between the
    parameters than on them. Raises InputError for ``lamb`` without timm.
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.dim() > 1], "weight_decay": options.weight_decay},
        {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    if options.layer_decay != 1:
        groups = decayed(model, groups, options.layer_decay)
    if options.optimizer == "sgd":
        return eager(torch.optim.SGD)(groups, lr=options.lr, momentum=0.9, fused=True)
    if options.optimizer == "lamb":
        return eager(_lamb())(groups, lr=options.lr)
    return eager(torch.optim.AdamW)(groups, lr=options.lr, fused=True)


KEPT_OUT = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
"""Methods that torch wraps to keep its compiler out of them."""


@cache
def eager(kind: Any) -> Callable[..., torch.optim.Optimizer]:
    """The optimizer for steps that are never compiled: what torch wraps around its methods loads the whole compiler with the
    first of them, three seconds and 250 MB of every process that trains. It computes what ``kind`` does.
    """
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in KEPT_OUT}
    step = torch.no_grad()(inspect.unwrap(kind.step))
    found: type[torch.optim.Optimizer] = type(kind.__name__, (kind,), {**methods, "step": step})
    return found


def _lamb() -> Any:
    try:
        from timm.optim import Lamb
    except ImportError as error:
        raise InputError(Problem(f"lamb is timm's: pip install 'spikebench[vision]' ({error})", key="optimizer")) from None
    return Lamb
