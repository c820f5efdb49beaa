"""One call of a module, counted."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from spikebench.activity.analysis import ActivityAnalysis
from spikebench.activity.neurons import reset_states
from spikebench.activity.observer import ActivityObserver


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
    ``samples`` and ``neurons``: see ``ActivityObserver``. The model is left as it was: buffers that the pass changes
    (BatchNorm's statistics in training mode) are put back, SpikingJelly's neurons are reset before and after.
    """
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()} if model.training else {}
    reset_states(model)
    try:
        with torch.no_grad(), ActivityObserver(model, T=T, samples=samples, neurons=neurons) as observer:
            model(*((inputs,) if isinstance(inputs, Tensor) else inputs))
    finally:
        reset_states(model)
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                if name in buffers:
                    buffer.copy_(buffers[name])
    return observer.analysis
