"""The same call gives the same result again: no state is left over, after an exception neither, with gradients or without."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from spikebench.activity.nested import named_parts, tensors_within
from spikebench.auditing.calls import distance
from spikebench.auditing.patient import EXACT, Patient, said, scale
from spikebench.auditing.watch import first_difference, same, unfinished, watching
from spikebench.core.findings import Finding

FIGURE = "largest difference of results"


class Broken(Exception):  # noqa: N818
    """Thrown in the middle of a call."""


class Check:
    """In evaluation mode, nothing reset by the audit between two calls."""

    title = "Call invariance"
    order = 20

    def __call__(self, patient: Patient) -> Finding:
        inputs = patient.exact_inputs
        ways: dict[str, Callable[[nn.Module], object]] = {
            "the same call twice": lambda model: _call(model, inputs),
            "after an exception half-way": lambda model: _break_off(model, inputs),
            "after a call with gradients": lambda model: _with_gradients(model, inputs),
            "after a call with another batch": lambda model: _smaller(model, patient),
        }
        worst, where, failed = 0.0, "", []
        for words, before in ways.items():
            model = copy.deepcopy(patient.exact)
            with watching(model) as first:
                reference = _call(model, inputs)
            with watching(model) as second:
                try:
                    before(model)
                    second.clear()
                    again = _call(model, inputs)
                except Exception as error:
                    running = unfinished(second)
                    where = "" if running is None else patient.name(running)
                    return Finding("call_invariance", "fail", f"{words}: a call fails: {said(error)}", layer=where)
            difference = max(map(distance, reference, again), default=0.0)
            if difference > EXACT * scale(reference):
                failed.append(words)
                if not where:
                    place = first_difference(first, second, same, EXACT * scale(reference))
                    where = "" if place is None else patient.name(place.layer)
            worst = max(worst, difference)
        if not failed:
            meaning = "equal results in equal calls, after an exception, after gradients, after another batch"
            return Finding("call_invariance", "pass", meaning, worst, FIGURE)
        if _draws(patient, inputs):
            meaning = "it draws random numbers in evaluation mode, so that no result can be had again"
        else:
            meaning = f"state is left over from call to call ({', '.join(failed)}): reset it at the start of each forward"
        return Finding("call_invariance", "fail", meaning, worst, FIGURE, where)


def _call(model: nn.Module, inputs: Sequence[Tensor], gradients: bool = False) -> list[Tensor]:
    with torch.set_grad_enabled(gradients):
        return [tensor.detach().clone() for tensor in tensors_within(model(*inputs))]


def _with_gradients(model: nn.Module, inputs: Sequence[Tensor]) -> None:
    _call(model, inputs, gradients=True)


def _smaller(model: nn.Module, patient: Patient) -> None:
    if patient.samples > 1:
        _call(model, patient.some(patient.exact_inputs, [1]))


def _break_off(model: nn.Module, inputs: Sequence[Tensor]) -> None:
    """An exception before the last module that runs."""
    ran: list[str] = []
    probe = copy.deepcopy(model)
    for name, module in named_parts(probe):
        if name:
            nn.Module.register_forward_pre_hook(module, lambda *_, name=name: ran.append(name))
    _call(probe, inputs)
    if not ran:
        return

    def fail(*_: object) -> None:
        raise Broken

    hook = nn.Module.register_forward_pre_hook(dict(named_parts(model))[ran[-1]], fail)
    try:
        _call(model, inputs)
    except Broken:
        pass
    finally:
        hook.remove()


def _draws(patient: Patient, inputs: Sequence[Tensor]) -> bool:
    """Whether equal seeds make equal calls equal."""
    model = copy.deepcopy(patient.exact)
    results = []
    for _ in range(2):
        torch.manual_seed(1)
        results.append(_call(model, inputs))
    return max(map(distance, *results), default=0.0) == 0.0
