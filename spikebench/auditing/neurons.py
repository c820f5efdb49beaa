"""Neuron layers that nobody declared, by what they do: modules of one's own that make spikes of what is none."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spikebench.activity.nested import named_parts, tensors_within
from spikebench.activity.neurons import known_neurons
from spikebench.auditing.patient import Patient


def neuron_classes(patient: Patient, model: nn.Module, inputs: Sequence[Tensor]) -> tuple[type[nn.Module], ...]:
    """Classes of ``model``'s modules that are neuron layers, besides those that counting knows: given by the caller, or seen.

    Seen: each output is 0 or 1 throughout, an input is not, in every call; nothing inside is such a module; and the class is not
    torch's. A class of which one module makes no spikes is none.
    """
    known = (*known_neurons(), *patient.neurons)
    makes: dict[str, bool] = {}

    def note(scope: str, args: object, out: object) -> None:
        spikes = [x for x in tensors_within(out) if x.is_floating_point()]
        own = bool(spikes) and _binary(spikes[0]) and not all(map(_binary, tensors_within(args)))
        makes[scope] = makes.get(scope, True) and own

    hooks = [
        nn.Module.register_forward_hook(module, lambda _, args, out, scope=scope: note(scope, args, out))
        for scope, module in named_parts(model)
        if not type(module).__module__.startswith("torch.")
    ]
    try:
        patient.call(model, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    parts = dict(named_parts(model))
    firing = [scope for scope, own in makes.items() if own and scope]
    innermost = [scope for scope in firing if not any(other.startswith(f"{scope}.") for other in firing)]
    found = {type(parts[scope]) for scope in innermost if not isinstance(parts[scope], known)}
    silent = {type(parts[scope]) for scope, own in makes.items() if not own}
    inside = {type(part) for scope, part in parts.items() if any(scope.startswith(f"{n}.") for n in patient.neuron_names(model))}
    return (*patient.neurons, *(kind for kind in found if kind not in silent | inside))


def neuron_layers(patient: Patient, model: nn.Module, inputs: Sequence[Tensor]) -> list[str]:
    """Paths of all neuron layers, known, given and seen."""
    kinds = (*known_neurons(), *neuron_classes(patient, model, inputs))
    found: list[str] = []
    for name, module in named_parts(model):
        if isinstance(module, kinds) and not any(name.startswith(f"{outer}.") for outer in found):
            found.append(name)
    return found


def _binary(x: Tensor) -> bool:
    return bool(torch.logical_or(x == 0, x == 1).all())
