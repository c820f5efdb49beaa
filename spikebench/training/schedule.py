"""The learning rate as a closed form of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math

from spikebench.training.options import TrainingOptions


def learning_rate(step: int, steps_per_epoch: int, options: TrainingOptions) -> float:
    """Learning rate of optimisation step ``step`` (from 0).

    Linear growth over the warm-up, whose last step has ``lr``; then ``lr``, or half a cosine period (Loshchilov and Hutter,
    arXiv 1608.03983, eq. 5, without restarts) whose last step has ``min_lr``.
    """
    warmup = round(options.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return options.lr * (step + 1) / warmup
    if options.schedule == "constant":
        return options.lr
    last = options.epochs * steps_per_epoch - 1
    # The warm-up's last step stands at the cosine's start, so its first own step is already below the top.
    start = warmup - 1 if warmup else 0
    progress = (step - start) / (last - start) if last > start else 0.0
    return options.min_lr + (options.lr - options.min_lr) * (1 + math.cos(math.pi * progress)) / 2
