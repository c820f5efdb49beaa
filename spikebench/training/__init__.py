"""Training: the loop, its schedule, augmentation, precision and checkpoints. Importing this package imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from spikebench.training.options import TrainingOptions

if TYPE_CHECKING:
    from torch import nn

__all__ = ["TrainingOptions", "load_weights"]


def load_weights(model: nn.Module, folder: Path) -> nn.Module:
    """Put the finished weights of ``folder`` (``weights/<cell_id>`` of a results folder) into ``model``, in place; returns it.

    The tensors go to wherever the model's are. Raises StorageError if there are none, if the file is damaged, or if it belongs to
    another network.
    """
    from spikebench.training.checkpoints import read_weights

    return read_weights(model, folder)
