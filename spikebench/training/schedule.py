"""The learning rate as a closed form of the step, so that a resumed run needs no scheduler state."""

from __future__ import annotations

import math

from spikebench.training.options import TrainingOptions


def learning_rate(step: int, steps_per_epoch: int, options: TrainingOptions) -> float:
    """Learning rate of optimisation step ``step`` (from 0).

    Linear growth over the warm-up, from ``warmup_lr`` in the first step, or in even stairs from 0; its last step has ``lr``. Then
    ``lr``, or half a cosine period (Loshchilov and Hutter, arXiv 1608.03983, eq. 5, without restarts) whose last step has
    ``min_lr``, which the cool-down keeps.
    """
    if options.schedule == "timm-cosine":
        return _by_epoch(step // steps_per_epoch, options)
    warmup = round(options.warmup_epochs * steps_per_epoch)
    if step < warmup:
        if options.warmup_lr is None or warmup == 1:
            return options.lr * (step + 1) / warmup
        return options.warmup_lr + (options.lr - options.warmup_lr) * step / (warmup - 1)
    last = (options.epochs - options.cooldown_epochs) * steps_per_epoch - 1
    if step > last:
        return options.min_lr
    if options.schedule == "constant":
        return options.lr
    # The warm-up's last step stands at the cosine's start, so its first own step is already below the top.
    start = warmup - 1 if warmup else 0
    progress = (step - start) / (last - start) if last > start else 0.0
    return _cosine(progress, options)


def _by_epoch(epoch: int, options: TrainingOptions) -> float:
    """timm's CosineLRScheduler: the cosine has begun in the first epoch, and is not seen before the warm-up is over."""
    if epoch < options.warmup_epochs:
        first = options.warmup_lr or 0.0
        return first + epoch * (options.lr - first) / options.warmup_epochs
    falling = options.epochs - options.cooldown_epochs
    return _cosine(epoch / falling, options) if epoch < falling else options.min_lr


def _cosine(progress: float, options: TrainingOptions) -> float:
    return options.min_lr + (options.lr - options.min_lr) * (1 + math.cos(math.pi * progress)) / 2
