"""One call of a module, counted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spikebench.activity.analysis import ActivityAnalysis
from spikebench.activity.neurons import reset_states
from spikebench.activity.observer import ActivityObserver
from spikebench.activity.state import undisturbed


def count(
    model: nn.Module,
    inputs: Tensor | Sequence[Tensor],
    *,
    T: int | None = None,
    samples: int | None = None,
    neurons: Sequence[type[nn.Module]] = (),
) -> ActivityAnalysis:
    """Run ``model`` on ``inputs`` (a tensor, or a tuple of tensors as its arguments) once, and count everything that happens.

    Works for any module, in its present mode and on its present device, under ``no_grad`` and ``inference_mode``. ``T``,
    ``samples`` and ``neurons``: see ``ActivityObserver``. The pass begins in the state the model is in, SpikingJelly's neurons at
    rest, and the model is left as it was (``undisturbed``), after an exception too: BatchNorm's statistics, membranes, random
    numbers. Raises InputError for a model or an input without values (lazy modules before their first call, the device meta).
    """
    observer = ActivityObserver(model, T=T, samples=samples, neurons=neurons)
    with undisturbed(model) as observer.before_write:
        reset_states(model)
        with torch.no_grad(), observer:
            model(*((inputs,) if isinstance(inputs, Tensor) else inputs))
    return observer.analysis
