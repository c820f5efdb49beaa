"""No layer is silent, fires always, or fires at the first step alone; saturation by layer and step (references.md 1.1)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from spikebench.activity import count
from spikebench.auditing.lively import driven, lively
from spikebench.auditing.neurons import neuron_classes
from spikebench.auditing.patient import NotApplicable, Patient, Undecidable
from spikebench.core.findings import Detail, Finding
from spikebench.derived.sites import NeuronLayer

FIGURE = "layers that are silent, stuck, or alive at the first step alone"


class Check:
    """In evaluation mode, on all inputs. An untrained network gets BatchNorm's statistics of them, as its training would begin.

    A layer that is silent then may still wake up: it is a fault where it is silent too with inputs under which the others fire.
    """

    title = "Activity"
    order = 60

    def __call__(self, patient: Patient) -> Finding:
        layers = _layers(patient, patient.twin())
        details = tuple(
            Detail(layer.scope, f"t={t}", rate) for layer in layers for t, rate in enumerate(layer.firing_rate_by_step)
        ) + tuple(Detail(layer.scope, "saturated neurons", layer.saturated_fraction) for layer in layers)
        dead, early, stuck = _dead(layers), _early(layers), _stuck(layers)
        asleep: list[str] = []
        if patient.is_untrained and (dead or early):
            awake = [_layers(patient, patient.twin(wake=wake)) for wake in (lively, driven)]
            asleep = [name for name in dead if any(name not in _dead(layers) for layers in awake)]
            dead = [name for name in dead if name not in asleep]
            early = [name for name in early if all(name in {*_early(layers), *_dead(layers)} for layers in awake)]
        bad = [layer.scope for layer in layers if layer.scope in {*dead, *early, *stuck}]
        silent = f"; {len(asleep)} are silent before any training, not for good" if asleep else ""
        if not bad:
            said = f"all {len(layers)} neuron layers fire, and none always{silent}"
            return Finding("activity", "pass", said, 0, FIGURE, details=details)
        words = [
            _words(dead, "never fire: nothing behind them depends on the image by way of them"),
            _words(stuck, "fire at every step of every image: they carry no information"),
            _words(early, "fire at the first step alone: more time steps add nothing"),
        ]
        return Finding("activity", "fail", "; ".join(filter(None, words)) + silent, len(bad), FIGURE, bad[0], details)


def _layers(patient: Patient, model: nn.Module) -> Sequence[NeuronLayer]:
    kinds = neuron_classes(patient, model, patient.inputs)
    found = count(model, patient.inputs, T=patient.T, neurons=kinds)
    if not found.neuron_layers:
        undeclared = next((row for row in found.not_counted if row.operation == "neuron"), None)
        if undeclared is not None:
            raise Undecidable(f"its neurons are not recognised: {undeclared.reason}")
        raise NotApplicable("it has no neuron layers")
    return found.neuron_layers


def _dead(layers: Sequence[NeuronLayer]) -> list[str]:
    return [layer.scope for layer in layers if layer.spikes == 0]


def _stuck(layers: Sequence[NeuronLayer]) -> list[str]:
    return [layer.scope for layer in layers if layer.saturated_fraction == 1]


def _early(layers: Sequence[NeuronLayer]) -> list[str]:
    steps = ((layer.scope, layer.firing_rate_by_step) for layer in layers)
    return [scope for scope, rates in steps if len(rates) > 1 and rates[0] > 0 and not any(rates[1:])]


def _words(names: Sequence[str], what: str) -> str:
    if not names:
        return ""
    more = f" and {len(names) - 2} more" if len(names) > 2 else ""
    return f"{', '.join(names[:2])}{more} {what if len(names) > 1 else what.replace('fire', 'fires', 1)}"
