"""Every weighted layer receives binary spikes and nothing else, the one that reads the image apart (arXiv 2307.01694)."""

from __future__ import annotations

from spikebench.activity import count
from spikebench.auditing.lively import lively
from spikebench.auditing.neurons import neuron_classes
from spikebench.auditing.patient import NotApplicable, Patient, Undecidable
from spikebench.core.findings import Detail, Finding
from spikebench.derived.sites import Site

FIGURE = "share of events in layers that receive more than binary spikes"


class Check:
    """Products of activations count with both operands. Counted as ``activity`` does it: on the network as declared."""

    title = "Spike-driven"
    order = 70

    def __call__(self, patient: Patient) -> Finding:
        model = patient.twin(wake=lively)
        found = count(model, patient.inputs, T=patient.T, neurons=neuron_classes(patient, model, patient.inputs))
        if not found.neuron_layers and not any(row.operation == "neuron" for row in found.not_counted):
            raise NotApplicable("it has no neuron layers: nothing in it is a spike")
        if found.not_counted:
            row = found.not_counted[0]
            raise Undecidable(f"not all of it could be counted: {row.operation} in {row.scope or 'the network'}: {row.reason}")
        layers = [site for site in found.sites if site.synaptic]
        impure = [site for site in layers if any(kind != "binary" for kind in site.kinds)]
        first = layers[0] if layers else None
        inner = [site for site in impure if site is not first]
        events = max(1, sum(site.events for site in layers))
        share = sum(site.events for site in inner) / events
        details = tuple(Detail(site.scope, f"{site.operation} of {site.input}", site.events / events) for site in impure)
        if not inner:
            said = f"all {len(layers)} layers and products receive binary spikes{', but for the first' if impure else ''}"
            return Finding("spike_driven", "pass", said, share, FIGURE, details=details)
        multiplies = sum(not site.accumulates for site in inner)
        said = f"{len(inner)} of {len(layers)} receive integers or real numbers ({_kinds(inner)}), {multiplies} need multipliers"
        return Finding("spike_driven", "fail", said, share, FIGURE, inner[0].scope, details)


def _kinds(sites: list[Site]) -> str:
    kinds = [site.input for site in sites]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
