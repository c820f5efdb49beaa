"""What a neuron's call was, one step or all of them, and where its spikes belong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from spikebench.activity.layout import Layout
from spikebench.activity.provenance import TRACKS, Along, Places, combine
from spikebench.networks.neurons._base import SpikingNeuron


@dataclass(frozen=True)
class Steps:
    """``multi``: a call takes all steps (T, B, ...), rather than one (B, ...). ``declared``: its class or mode says so;
    ``known``: it does, or the axes of its input are known.
    """

    multi: bool
    declared: bool
    known: bool


def steps_of(module: nn.Module, spikes: Tensor, places: Places, layout: Layout) -> Steps:
    """What a call of a neuron was, of a class that says nothing from where its spikes belong."""
    mode = "m" if isinstance(module, SpikingNeuron) else getattr(module, "step_mode", None)
    if mode in ("s", "m"):
        return Steps(mode == "m", True, True)
    samples = None if layout.track is None else places[layout.track]
    time = None if layout.time_track is None else places[layout.time_track]
    shape, one = (*spikes.shape[:2], 0)[:2], layout.samples == 1
    first_is_time = (layout.steps == shape[0] and time in ("all", "mixed", None)) or time == Along(0, shape[0])
    if first_is_time and shape[1] == layout.samples and (one or samples == Along(1, layout.samples)):
        return Steps(True, False, True)
    return Steps(False, False, shape[0] == layout.samples and (one or samples == Along(0, layout.samples)))


def placed(inputs: Sequence[Tensor], places: Sequence[Places], spikes: Tensor) -> Places:
    """Where a neuron's spikes belong: with its inputs of their shape."""
    apart = [x.shape != spikes.shape for x in inputs]
    return tuple(
        combine("mixed" if other and own[track] != "all" else own[track] for other, own in zip(apart, places, strict=True))
        for track in range(TRACKS)
    )


def by_interface(places: Places, spikes: Tensor, steps: Steps, layout: Layout) -> Places:
    """Spikes of constants (learned currents of each position, say) are of all samples alike, and lie where the neuron's interface
    has its samples.
    """
    axis, track = 1 if steps.multi else 0, layout.track
    if not steps.declared or track is None or places[track] != "all" or spikes.shape[axis : axis + 1] != (layout.samples,):
        return places
    return tuple(Along(axis, layout.samples) if each == track else place for each, place in enumerate(places))


def stepped(places: Places, multi_step: bool, before: Places | None) -> Places:
    """What a neuron that steps along its first axis, or carries its state from a call that belonged to ``before`` into the next,
    leaves of ``places``.
    """
    found = list(places)
    for track, place in enumerate(places):
        along_steps = multi_step and isinstance(place, Along) and place.axis == 0
        if along_steps or (before is not None and before[track] != place):
            found[track] = "mixed"
    return tuple(found)
