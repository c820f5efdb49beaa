"""Tokens in another order come out of an attention in that order, where it knows of no position (Vaswani et al. 2017)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from spikebench.activity.nested import tensors_within
from spikebench.activity.neurons import reset_states
from spikebench.activity.state import undisturbed
from spikebench.auditing.calls import distance
from spikebench.auditing.patient import EXACT, NotApplicable, Patient, Undecidable, scale
from spikebench.core.findings import Finding
from spikebench.networks.attentions._base import AttentionBase

FIGURE = "largest difference of tokens that only changed places"
WORDS = ("attention", "ssa", "attn")
"""Ends of class names, in any case, of what people call an attention."""


class Check:
    """On what reaches each attention, of one image, in evaluation mode and float64. The axis of the tokens is the one that works.

    An attention that reads the grid of its tokens says so (``subset_problem``), and is left aside.
    """

    title = "Token order"
    order = 120

    def __call__(self, patient: Patient) -> Finding:
        model = patient.exact
        named = [(name, module) for name, module in model.named_modules() if _is_attention(module, patient)]
        outer = [(name, module) for name, module in named if not any(name.startswith(f"{other}.") for other, _ in named)]
        if not outer:
            raise NotApplicable("it has no attention that is recognised: pass attentions=(its class,)")
        claiming = [(name, module) for name, module in outer if not _reads_the_grid(module)]
        if not claiming:
            raise NotApplicable(f"its attention reads the grid of its tokens, as declared: {outer[0][0]}")
        seen = _inputs(patient, model, claiming)
        worst, layer, untold = 0.0, "", []
        for name, module in claiming:
            if name not in seen:
                untold.append(f"{name} was not called with one tensor")
                continue
            found = [_apart(module, seen[name], axis) for axis in _axes(seen[name], patient.T)]
            if not found:
                untold.append(f"{name} has one token")
                continue
            difference = min(found)
            if difference > EXACT * scale([seen[name]]) and not layer:
                layer = patient.name(name)
            worst = max(worst, difference)
        if layer:
            said = "tokens in another order give other tokens: it mixes places that are not there to be told apart"
            return Finding("token_order", "fail", said, worst, FIGURE, layer)
        if len(untold) == len(claiming):
            raise Undecidable(untold[0])
        said = f"{len(claiming) - len(untold)} attentions put permuted tokens out in the permuted order"
        return Finding("token_order", "pass", said, worst, FIGURE)


def _is_attention(module: nn.Module, patient: Patient) -> bool:
    known = isinstance(module, (AttentionBase, *patient.attentions))
    return known or type(module).__name__.lower().endswith(WORDS)


def _reads_the_grid(module: nn.Module) -> bool:
    return isinstance(module, AttentionBase) and module.subset_problem(getattr(module, "options", None)) is not None


def _inputs(patient: Patient, model: nn.Module, attentions: Sequence[tuple[str, nn.Module]]) -> dict[str, Tensor]:
    """What each attention gets in a call of one image."""
    seen: dict[str, Tensor] = {}

    def note(name: str, args: tuple[object, ...], kwargs: dict[str, object]) -> None:
        tensors = tensors_within(args, kwargs)
        if len(tensors) == 1 and len(args) == 1:
            seen.setdefault(name, tensors[0].detach().clone())

    hooks = [
        module.register_forward_pre_hook(lambda _, args, kwargs, name=name: note(name, args, kwargs), with_kwargs=True)
        for name, module in attentions
    ]
    try:
        patient.call(model, patient.some(patient.exact_inputs, [0]))
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _axes(x: Tensor, T: int | None) -> Iterator[tuple[int, ...]]:
    """Axes that may hold the tokens: all with several places but the steps', and the two last together, as a grid."""
    steps = [axis for axis in (0, 1) if x.dim() > 2 and x.shape[axis] == T]
    for axis in range(x.dim()):
        if x.shape[axis] > 1 and axis not in steps[:1]:
            yield (axis,)
    if x.dim() > 3 and x.shape[-1] * x.shape[-2] > 1:
        yield (x.dim() - 2, x.dim() - 1)


@torch.no_grad()
def _apart(module: nn.Module, x: Tensor, axes: tuple[int, ...]) -> float:
    def permuted(y: Tensor) -> Tensor:
        if y.dim() != x.dim() or any(y.shape[axis] != x.shape[axis] for axis in axes):
            return y.new_full((1,), float("nan"))
        flat = y.flatten(axes[0], axes[-1])
        order = torch.randperm(flat.shape[axes[0]], generator=torch.Generator().manual_seed(3)).to(y.device)
        return flat.index_select(axes[0], order).reshape(y.shape)

    def run(y: Tensor) -> Tensor:
        with undisturbed(module):
            reset_states(module)
            return tensors_within(module(y))[0].detach().clone()

    return distance(run(permuted(x)), permuted(run(x)))
