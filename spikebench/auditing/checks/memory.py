"""Memory does not grow from call to call: nothing is kept, no graph hangs on to the one before."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from itertools import pairwise

import torch
from torch import nn

from spikebench.activity.nested import named_parts, tensors_within
from spikebench.auditing.live import Live
from spikebench.auditing.patient import Patient
from spikebench.core.findings import Finding

CALLS = 3
"""Each of which must leave something behind: a cache that fills once is none of a leak's."""
FIGURE = "bytes that each further call keeps"


class Check:
    """Evaluation without gradients, and training steps; nothing is reset by the audit between two calls.

    A call's tensors must be gone when later calls are over. What NumPy or another library holds is not seen.
    """

    title = "Memory"
    order = 40

    def __call__(self, patient: Patient) -> Finding:
        found, words = 0, []
        layer = ""
        for training, step in ((False, _evaluate), (True, _train)):
            model = patient.twin().train(training)
            mode = "training" if training else "evaluation"

            try:
                step(model, patient)
                before = _held(model)
                step(model, patient)
                looks = _looks(model, patient, step)
            except RuntimeError as error:
                if training and "backward through the graph a second time" in str(error):
                    words.append("the second training step goes back through the graph of the first: state is not detached")
                    layer = layer or _growing(model, before if found else {}, graphs=True)
                    continue
                raise
            grows = min(left for _, left in looks[:-1])  # the last call's state is that of the next
            peaks = [peak for peak, _ in looks]
            rises = min(b - a for a, b in pairwise(peaks))
            if grows > 0 or rises > 0:
                found = max(found, grows, rises)
                words.append(f"each call in {mode} keeps {max(grows, rises):,} bytes more: a long run ends out of memory")
                layer = layer or _growing(model, before)
        if not words:
            said = f"nothing is kept from call to call, in evaluation and in training ({CALLS} calls each)"
            return Finding("memory", "pass", said, 0, FIGURE)
        return Finding("memory", "fail", "; ".join(words), found or None, FIGURE if found else "", layer)


Step = Callable[[nn.Module, Patient], None]


def _looks(model: nn.Module, patient: Patient, step: Step) -> list[tuple[int, int]]:
    """(peak, left over) in bytes of each call's own tensors; garbage in circles is collected before it is blamed."""
    calls = []
    for _ in range(CALLS):
        with Live() as live:
            step(model, patient)
        calls.append(live)
    if any(live.left() for live in calls):
        gc.collect()
    return [(live.peak, live.left()) for live in calls]


@torch.no_grad()
def _evaluate(model: nn.Module, patient: Patient) -> None:
    model(*patient.inputs)


def _train(model: nn.Module, patient: Patient) -> None:
    """A step whose outputs and gradients are dropped."""
    outputs = [x for x in tensors_within(model(*patient.inputs)) if x.requires_grad and x.is_floating_point()]
    if outputs:
        torch.stack([x.sum() for x in outputs]).sum().backward()  # type: ignore[no-untyped-call]
    model.zero_grad(set_to_none=True)


def _held(model: nn.Module) -> Mapping[str, int]:
    """Bytes of the tensors that each module itself holds, besides parameters."""
    return {scope: sum(x.nbytes for x in tensors_within(_state(module))) for scope, module in named_parts(model)}


_OWN = frozenset(vars(nn.Module()))
"""What every module has: parameters, hooks."""


def _state(module: nn.Module) -> list[object]:
    own = [value for key, value in vars(module).items() if key not in _OWN or key == "_buffers"]
    return [value for value in own if not isinstance(value, nn.Module)]


def _growing(model: nn.Module, before: Mapping[str, int], graphs: bool = False) -> str:
    """The first module that holds more than it did; else the first that holds a tensor with a graph."""
    now = _held(model)
    for scope in now if not graphs else ():
        if now[scope] > before.get(scope, now[scope]):
            return scope
    for scope, module in named_parts(model):
        if any(x.grad_fn is not None for x in tensors_within(_state(module))):
            return scope
    return ""
