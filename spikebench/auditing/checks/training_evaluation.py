"""BatchNorm's running statistics fit and follow the batches, and no layer is in the other mode (Ioffe and Szegedy 2015)."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from spikebench.auditing.lively import norms
from spikebench.auditing.patient import NotApplicable, Patient
from spikebench.core.findings import Detail, Finding

FIGURE = "distance of running from batch statistics, in standard deviations"
FAR = 3.0
"""Root mean square, over a layer's channels, of how far the means lie apart: what a few images cannot explain."""
RATIO = 10.0
"""Of the standard deviations, either way, in the middle channel."""
FEWEST = 32
"""Values of a channel from which on a batch has statistics to speak of."""


class Check:
    """Statistics are compared where BatchNorm has seen batches; that they follow is tried on a copy in training mode."""

    title = "Training against evaluation"
    order = 90

    def __call__(self, patient: Patient) -> Finding:
        faults = list(_modes(patient))
        layers = dict(norms(patient.model))
        if not layers and not faults and not any(_has_mode(module) for module in patient.model.modules()):
            raise NotApplicable("it has no layer that knows training from evaluation")
        faults += _momenta(layers)
        seen = _batches(patient)
        distances: dict[str, float] = {}
        for name, norm in layers.items():
            if norm.running_mean is None or norm.running_var is None:
                faults.append((name, "keeps no running statistics: evaluation looks at the batch"))
            elif name in seen and not patient.is_untrained:
                mean, var, values = seen[name]
                deviation = (norm.running_var.double() + norm.eps).sqrt()
                distances[name] = float(((mean - norm.running_mean.double()) / deviation).square().mean().sqrt())
                ratio = float(((var + norm.eps).sqrt() / deviation).median())
                if values >= FEWEST and (distances[name] > FAR or not 1 / RATIO < ratio < RATIO):
                    faults.append((name, "has running statistics of other inputs than these"))
        faults += list(_following(patient, layers))
        figure = max(distances.values(), default=0.0)
        details = tuple(Detail(name, "distance of means", value) for name, value in distances.items())
        if not faults:
            aside = " (untrained: running statistics are not compared)" if patient.is_untrained else ""
            said = f"{len(layers)} BatchNorm layers follow their batches, and every layer is in the network's mode{aside}"
            return Finding("training_evaluation", "pass", said, figure, FIGURE, details=details)
        order = [name for name, _ in patient.model.named_modules()]
        faults.sort(key=lambda fault: order.index(fault[0]) if fault[0] in order else 0)
        by_words: dict[str, list[str]] = {}
        for name, words in faults:
            by_words.setdefault(words, []).append(patient.name(name))
        said = "; ".join(
            f"{', '.join(names[:2])}{f' and {len(names) - 2} more' if len(names) > 2 else ''} {words}"
            for words, names in by_words.items()
        )
        return Finding("training_evaluation", "fail", said, figure, FIGURE, patient.name(faults[0][0]), details)


Fault = tuple[str, str]


def _has_mode(module: nn.Module) -> bool:
    return isinstance(module, (nn.modules.dropout._DropoutNd, _BatchNorm))


def _modes(patient: Patient) -> Iterator[Fault]:
    """Layers that are not in the mode of the whole, as given or when it is asked to change."""
    for name, module in patient.model.named_modules():
        if module.training != patient.model.training:
            yield name, f"is in {_mode(module.training)} mode, the network in {_mode(patient.model.training)} mode"
    model = patient.copy()
    for mode in (True, False):
        model.train(mode)
        for name, module in model.named_modules():
            if module.training != mode:
                yield name, f"stays in {_mode(not mode)} mode when the network goes into {_mode(mode)} mode"


def _mode(training: bool) -> str:
    return "training" if training else "evaluation"


def _momenta(layers: dict[str, _BatchNorm]) -> list[Fault]:
    return [
        (name, f"has momentum {norm.momentum:g}: its statistics never change")
        for name, norm in layers.items()
        if norm.momentum is not None and norm.momentum <= 0 and norm.running_mean is not None
    ]


def _batches(patient: Patient) -> dict[str, tuple[Tensor, Tensor, int]]:
    """Mean and variance of what each BatchNorm gets in evaluation, over all its calls, and of how many values a channel."""
    model = patient.twin()
    sums: dict[str, list[Tensor]] = {}
    counts: dict[str, int] = {}

    def note(name: str, x: Tensor) -> None:
        rows = x.detach().double().movedim(1, -1).reshape(-1, x.shape[1]) if x.dim() > 2 else x.detach().double()
        found = [rows.sum(0), rows.square().sum(0)]
        sums[name] = [a + b for a, b in zip(sums[name], found, strict=True)] if name in sums else found
        counts[name] = counts.get(name, 0) + len(rows)

    for name, norm in norms(model):
        norm.register_forward_pre_hook(lambda _, inputs, name=name: note(name, _channels_second(inputs[0])))
    patient.call(model, patient.inputs)
    found = {}
    for name, (first, second) in sums.items():
        mean = first / counts[name]
        found[name] = (mean, (second / counts[name] - mean.square()).clamp_min(0), counts[name])
    return found


def _channels_second(x: Tensor) -> Tensor:
    """Our layers take (T, B, C, H, W), torch's (B, C, ...)."""
    return x.flatten(0, 1) if x.dim() == 5 else x


def _following(patient: Patient, layers: dict[str, _BatchNorm]) -> Iterator[Fault]:
    """Layers that are called in training and whose statistics stay as they were."""
    model = copy.deepcopy(patient.exact).train()
    called: set[str] = set()
    for name, norm in norms(model):
        norm.register_forward_pre_hook(lambda _, __, name=name: called.add(name))
        if norm.running_mean is not None:
            norm.running_mean.fill_(1e3)
    with torch.no_grad():
        model(*patient.exact_inputs)
    for name, norm in norms(model):
        zero = norm.momentum is not None and norm.momentum <= 0
        if (
            name in called
            and norm.training
            and norm.running_mean is not None
            and not zero
            and bool((norm.running_mean == 1e3).all())
        ):
            yield name, "does not update its statistics in training"
