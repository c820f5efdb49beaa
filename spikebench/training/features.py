"""What a network's head reads, as plain numbers: for probes that train no network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from spikebench.data import batches

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from spikebench.data import Split


@torch.no_grad()
def features(
    model: nn.Module, split: Split, device: torch.device, batch_size: int = 256
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """(n, dim) means of the tokens over places and time steps, and (n,) labels, in evaluation mode; the mode is restored.

    Raises ValueError for a network that has no ``tokens``.
    """
    tokens = getattr(model, "tokens", None)
    if tokens is None:
        raise ValueError("the network has no tokens that a probe could read")
    training = model.training
    model.eval()
    try:
        found = [(tokens(x).float().mean((0, 3)).double().cpu(), y.cpu()) for x, y in batches(split, batch_size, device)]
    finally:
        model.train(training)
    x, y = (torch.cat(parts) for parts in zip(*found, strict=True))
    return x.numpy(), y.numpy()
