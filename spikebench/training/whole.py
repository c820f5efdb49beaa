"""A whole training: from its checkpoint, if there is one, to the weights that it leaves."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import torch

from spikebench.training import checkpoints, watch
from spikebench.training.begun import begun, forget
from spikebench.training.board import Board
from spikebench.training.epochs import Epoch
from spikebench.training.interruption import Interruption, deferred
from spikebench.training.loop import Training


def train(training: Training, folder: Path, job_id: str) -> Iterator[Epoch]:
    """Train to the end, from the checkpoint that this code left of the job in ``folder`` if there is one; the weights stay there.

    Yields every epoch in order, those of before a kill too, so what is made of them is the same as if nothing had happened.
    Each is in the checkpoint before it is yielded, and within an epoch a checkpoint is written every ``checkpoint_minutes`` and
    when SIGTERM or Ctrl-C comes. ``weights.pt`` is written before the last epoch is yielded, and the checkpoint removed after
    that: whoever took all epochs has the weights. Raises StorageError if it is damaged, or if the disk is full; RuntimeError for
    what ``stop_on`` names, after the epoch is yielded, unless it was the last.
    """
    checkpoints.forget_latest()
    checkpoint = begun(folder, job_id)
    if checkpoint.exists():
        training.load_state_dict(checkpoints.read(checkpoint))
    total = training.options.epochs
    watched = training.options.tensorboard and training.group.rank == 0
    board = Board(folder / "tensorboard", len(training.history) + 1) if watched else None
    for number in range(1, total + 1):
        if number > len(training.history):
            with deferred() as interruption:
                keeper = _Keeper(training, checkpoint, interruption)
                training.epoch(keeper)
                keeper.write()
            if board is not None:
                board.add(training.history[-1])
        if number == total and training.group.rank == 0:
            _finish(training, folder)
        yield training.history[number - 1]
        reason = watch.complaint(training.history[:number], training.options.stop_on) if number < total else ""
        if reason:
            raise RuntimeError(reason)
    if training.group.rank:
        return
    if total == 0:
        training.first_step_loss = training.first_loss()
        _finish(training, folder)
    forget(folder, job_id)


class _Keeper:
    """Called after each step: writes the checkpoint when it is due, and stops the training when it shall stop."""

    def __init__(self, training: Training, checkpoint: Path, interruption: Interruption) -> None:
        self.training, self.checkpoint, self.interruption = training, checkpoint, interruption
        self._written = time.monotonic()

    def __call__(self) -> None:
        """All processes do the same: what one has heard, and the first one's clock, hold for all of them."""
        group = self.training.group
        overdue = time.monotonic() - self._written >= self.training.options.checkpoint_minutes * 60
        stop, due = bool(self.interruption), overdue and group.rank == 0
        if group.world > 1:
            heard = group.sum(torch.tensor([stop, due], dtype=torch.int64))
            stop, due = bool(heard[0]), bool(heard[1])
        if stop or due:
            self.write()
        if stop:
            raise KeyboardInterrupt

    def write(self) -> None:
        self.training.require_finite()
        state = self.training.state_dict()
        if self.training.group.rank == 0:
            checkpoints.write(self.checkpoint, state)
        self._written = time.monotonic()


def _finish(training: Training, folder: Path) -> None:
    training.model.eval()
    last, best, chosen = training.kept.state_dict(), training.best, training.options.best_epoch
    if best is not None and chosen != "ignore":
        other = ("last.pt", last) if chosen == "use" else ("best.pt", best["weights"])
        checkpoints.write(folder / other[0], other[1])
    if training.options.test_epochs:
        checkpoints.write(folder / checkpoints.TEST_EPOCHS, [epoch.test_accuracy for epoch in training.history])
    checkpoints.write_weights(folder, best["weights"] if best is not None and chosen == "use" else last)
