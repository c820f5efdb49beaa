"""TensorBoard's event files, for those who watch a training: what is recorded of each epoch, as it comes."""

from __future__ import annotations

from pathlib import Path

from spikebench.core.errors import InputError, Problem
from spikebench.training.epochs import Epoch

SCALARS = ("training_loss", "loss", "accuracy", "test_accuracy", "learning_rate", "throughput", "memory")


class Board:
    """Writes into ``folder``. Epochs from ``first`` on are written anew: a training that went on repeats what a kill cut off.

    Raises InputError without the extra ``tensorboard``.
    """

    def __init__(self, folder: Path, first: int = 1) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            message = f"event files need TensorBoard: pip install 'spikebench[tensorboard]' ({error})"
            raise InputError(Problem(message, key="tensorboard")) from None
        self._writer = SummaryWriter(str(folder), purge_step=first)

    def add(self, epoch: Epoch) -> None:
        """Its figures, what was not measured left out."""
        values = {name: getattr(epoch, name) for name in SCALARS} | {"dead_layers": len(epoch.silent), **epoch.figures}
        for name, value in values.items():
            if value is not None:
                self._writer.add_scalar(name, value, epoch.number)
        self._writer.flush()
