"""BatchNorm and the neuron behind it in one kernel: a shortcut, equal up to rounding: a few spikes near a threshold flip."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from spikebench.core.values import declare
from spikebench.kernels.bn_lif import bn_lif, can_fuse
from spikebench.networks import batch_parts, shortcuts, visible
from spikebench.networks.neurons.lif import Neuron
from spikebench.networks.rates import note_rate


def applies(norm: nn.Module, neuron: nn.Module | None, x: Tensor) -> bool:
    """Whether ``fire`` may take the place of ``neuron(norm(x))`` now.

    Not for what listens to either module, nor for statistics of a part of the tokens or of the batch, nor for neurons other than
    ``lif``, nor where no fused kernel runs.
    """
    if not (shortcuts.fuses_bn_lif() and type(neuron) is Neuron and isinstance(norm, nn.modules.batchnorm._BatchNorm)):
        return False
    heard = any(
        getattr(module, hooks)
        for module in (norm, neuron)
        for hooks in ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    )
    plain = norm.track_running_stats and norm.affine and norm.momentum is not None
    # One number a channel has no variance to train with.
    whole = visible.active() is None and not batch_parts.active() and x.numel() > x.shape[2]
    return plain and whole and not heard and can_fuse(x, **_arguments(neuron))


def fire(norm: nn.Module, neuron: nn.Module, x: Tensor) -> Tensor:
    """``neuron(norm(x))``, x (T, B, C, ...); only where it ``applies``."""
    assert isinstance(norm, nn.modules.batchnorm._BatchNorm)
    assert isinstance(neuron, Neuron)
    assert norm.momentum is not None
    assert norm.num_batches_tracked is not None
    if norm.training:
        norm.num_batches_tracked.add_(1)
    spikes = bn_lif(
        *(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.training, norm.momentum, norm.eps),
        **_arguments(neuron),
    )
    note_rate(spikes)
    return declare(spikes, neuron.emits)


def _arguments(neuron: Neuron) -> dict[str, Any]:
    o = neuron.options
    return {
        "tau": o.tau,
        "v_threshold": neuron.v_threshold,
        "v_reset": o.v_reset,
        "decay_input": o.decay_input,
        "detach_reset": o.detach_reset,
        "surrogate": neuron.surrogate,
    }
