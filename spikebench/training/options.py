"""How a network is trained: the options of the harness ``train``, checked without importing torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self


@dataclass(frozen=True)
class TrainingOptions:
    """The defaults follow the papers' CIFAR recipe (references.md 1.9) except for the length, which suits small data.

    ``epochs``: 0 keeps the initial weights. ``lr``: highest learning rate, reached after ``warmup_epochs`` of linear growth;
    ``schedule`` ``cosine`` then falls to ``min_lr`` at the last step, ``constant`` stays. ``weight_decay`` acts on matrices and
    convolution kernels, not on biases and BatchNorm. ``clip_norm``: largest L2 norm of all gradients together; None: no clipping.

    ``amp``: ``bf16`` is autocast to bfloat16; ``auto`` chooses it where it helps (``training.precision``); the records say which
    one ran. ``augment``: ``light`` shifts each image by up to an eighth of its size; ``standard`` also mirrors it, which is wrong
    for digits.

    ``rate_penalty`` x mean over the neuron layers of max(0, firing rate - ``rate_target``)^2 is added to the loss.

    ``labels``: how many training images are used, evenly over the classes, drawn by the cell's seed; None: all. An epoch is one
    pass over these. ``layer_decay``: each layer learns this times as fast as the one above, the head with ``lr``;
    ``drop_path``: how likely the last block's sublayers are left out in training, those before it less. Both are for fine-tuning.

    ``workers``: loader processes for data sets that do not fit into memory. ``checkpoint_minutes``: how much of an epoch a kill
    costs at most; the end of an epoch, SIGTERM and Ctrl-C leave a checkpoint too. Neither is part of a cell's identity.
    """

    epochs: int = 10
    batch_size: int = 64
    optimizer: Literal["adamw", "sgd"] = "adamw"
    lr: float = 1e-3
    min_lr: float = 1e-5
    weight_decay: float = 0.06
    warmup_epochs: float = 1.0
    schedule: Literal["cosine", "constant"] = "cosine"
    label_smoothing: float = 0.1
    clip_norm: float | None = 1.0
    amp: Literal["auto", "off", "bf16"] = "auto"
    augment: Literal["none", "light", "standard"] = "none"
    rate_target: float = 0.0
    rate_penalty: float = 0.0
    labels: int | None = None
    layer_decay: float = 1.0
    drop_path: float = 0.0
    workers: int = 0
    checkpoint_minutes: float = 10.0

    def __post_init__(self) -> None:
        wrong = [
            f"{name} must be {what}, got {getattr(self, name)}"
            for name, what, good in (
                ("epochs", "at least 0", self.epochs >= 0),
                ("batch_size", "at least 1", self.batch_size >= 1),
                ("lr", "above 0", self.lr > 0),
                ("min_lr", f"between 0 and lr ({self.lr})", 0 <= self.min_lr <= self.lr),
                ("weight_decay", "at least 0", self.weight_decay >= 0),
                ("warmup_epochs", "at least 0", self.warmup_epochs >= 0),
                ("warmup_epochs", f"at most epochs ({self.epochs})", self.epochs == 0 or self.warmup_epochs <= self.epochs),
                ("label_smoothing", "at least 0 and below 1", 0 <= self.label_smoothing < 1),
                ("clip_norm", "above 0, or null", self.clip_norm is None or self.clip_norm > 0),
                ("rate_target", "between 0 and 1", 0 <= self.rate_target <= 1),
                ("rate_penalty", "at least 0", self.rate_penalty >= 0),
                ("labels", "at least 1, or null", self.labels is None or self.labels >= 1),
                ("layer_decay", "above 0 and at most 1", 0 < self.layer_decay <= 1),
                ("drop_path", "at least 0 and below 1", 0 <= self.drop_path < 1),
                ("workers", "at least 0", self.workers >= 0),
                ("checkpoint_minutes", "at least 0", self.checkpoint_minutes >= 0),
            )
            if not good
        ]
        if wrong:
            raise ValueError("\n".join(wrong))

    def identity(self) -> Self:
        """The same training, with all that changes how it runs but not what comes out as it is by default."""
        return replace(self, workers=0, checkpoint_minutes=10.0)
