"""How a network is trained: the options of the harness ``train``, checked without importing torch."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal, Self


def parse_rand_augment(text: str) -> dict[str, float]:
    """The numbers of ``m9-n1-mstd0.4-inc1``, with or without ``rand-``, by their letters. Raises ValueError."""
    found: dict[str, float] = {}
    for part in text.removeprefix("rand-").split("-"):
        match = re.fullmatch(r"(mstd|m|n|inc)(\d+(?:\.\d+)?)", part)
        if match is None:
            raise ValueError(f"rand_augment must be like m9-n1-mstd0.4-inc1, got {text!r}")
        found[match[1]] = float(match[2])
    if not (0 <= found.get("m", -1) <= 10 and found.get("n", 2) >= 1):
        raise ValueError(f"rand_augment must have a magnitude m0 to m10 and n1 or more operations, got {text!r}")
    return found


SIDES = (3 / 4, 4 / 3)
"""Width by height of random parts of images, as torchvision and timm have it."""
Checkpointing = Literal["off", "blocks", "spikingjelly"]
EventOperation = Literal["identity", "flip", "roll", "translate_x", "translate_y", "rotate", "shear", "cutout"]


@dataclass(frozen=True)
class TrainingOptions:
    """The defaults follow the papers' CIFAR recipe (references.md 1.9) except for the length, which suits small data.

    **Steps.** ``epochs``: 0 keeps the initial weights. ``batch_size``: samples of one optimisation step, whatever it is computed
    on. ``accumulate``: the step's batch goes through the network in so many passes, BatchNorm seeing one at a time.
    ``optimizer``: ``lamb`` needs the extra ``vision``. ``lr``: highest learning rate, reached after ``warmup_epochs`` of linear
    growth, from ``warmup_lr`` if that is given; ``schedule`` ``cosine`` then falls to ``min_lr`` at the last step before
    ``cooldown_epochs`` at that rate, ``constant`` stays; ``timm-cosine`` has one rate an epoch, as timm's scheduler gives it.
    ``weight_decay`` acts on matrices and convolution kernels, not on biases and BatchNorm. ``clip_norm``: largest L2 norm of all
    gradients together; None: no clipping. ``ema``: decay of a moving average of the weights, which is then what is validated and
    kept. ``amp``: ``bf16`` is autocast to bfloat16, ``fp16`` to half precision with the loss scaled; ``auto`` chooses bf16 where
    it helps (``training.precision``); the records say which one ran.

    **Images**, changed batch by batch. ``augment``: ``light`` shifts each image by up to an eighth of its size; ``standard`` also
    mirrors it, which is wrong for digits. ``crop_scale``: area of the part that is enlarged, drawn anew in every epoch, and
    ``crop_ratio`` its width by height: of the original where images are read from files. Null is 3/4 to 4/3 where ``crop_scale``
    is given, else no cropping; with both, ``[1.0, 1.0]`` is the whole image, squeezed. ``hflip``: how likely mirrored;
    ``rand_augment``: timm's spelling, ``m9-n1-mstd0.4-inc1``; ``erase``: how likely a rectangle is noise; ``event_ops``: of these
    operations each sample gets one, the same in all frames (``training.event_augmentation``). ``mixup``, ``cutmix``:
    alpha, 0 for none, of ``mixup_prob`` of the batches, in the first ``mixup_off_epoch`` epochs (0: in all). ``repeats``: each
    image comes so often in an epoch, next to each other, and only as many images as fit.

    **Loss.** ``label_smoothing``; ``loss``: ``bce``, binary cross-entropy of every class. ``rate_penalty`` x mean over the neuron
    layers of max(0, firing rate - ``rate_target``)^2 is added.

    **Fine-tuning.** ``labels``: how many training images are used, evenly over the classes, drawn by the cell's seed; None: all.
    An epoch is one pass over these. ``layer_decay``: each layer learns this times as fast as the one above, the head with ``lr``;
    ``drop_path``: how likely the last block's sublayers are left out in training, those before it less.

    **Long runs.** ``best_epoch``: that with the highest validation accuracy, the first of several; its weights are kept beside
    the last epoch's (``keep``), or used instead of these by all that measures (``use``). ``stop_on``: what ends a training with
    a failure, besides a loss that is not finite: ``dead_layer``, a neuron layer without a spike in an epoch; ``memory``, more of
    it after each of five epochs. Both are recorded in any case. ``test_epochs``: the test split is looked at after every epoch,
    which decides nothing; ``accuracy: {published_rule: true}`` sets it. ``tensorboard``: event files beside the weights (extra
    ``tensorboard``). ``devices``: GPUs (on a CPU, processes) that share every step and end with what one would have, up to
    rounding; under torchrun its processes are meant. ``sync_batchnorm``: BatchNorm sees the samples of a pass on all devices; if
    not, those of each alone, as papers' code has it, and it is the training with ``accumulate`` x ``devices`` passes.
    ``activation_checkpointing``: ``blocks`` keeps of each encoder block and stem stage its input alone, and computes
    the rest again in the backward pass: less memory, more time, the same weights to the bit; ``spikingjelly`` is SpikingJelly's
    memory optimisation of its own Spikformer (family ``sj``). Either is a way to train of its own, so that it can be compared
    (``recipes``). ``fused``: ``auto`` trains with BatchNorm and LIF in one kernel where one runs (``networks.fused``), which is
    faster and rounds otherwise: another training of the same network, which is evaluated and counted as declared. ``workers``:
    loader processes for data sets that do not fit into memory. ``checkpoint_minutes``: how much of an
    epoch a kill costs at most; the end of an epoch, SIGTERM and Ctrl-C leave a checkpoint too.
    """

    epochs: int = 10
    batch_size: int = 64
    accumulate: int = 1
    optimizer: Literal["adamw", "sgd", "lamb"] = "adamw"
    lr: float = 1e-3
    min_lr: float = 1e-5
    weight_decay: float = 0.06
    warmup_epochs: float = 1.0
    warmup_lr: float | None = None
    cooldown_epochs: int = 0
    schedule: Literal["cosine", "constant", "timm-cosine"] = "cosine"
    label_smoothing: float = 0.1
    loss: Literal["cross_entropy", "bce"] = "cross_entropy"
    clip_norm: float | None = 1.0
    ema: float | None = None
    amp: Literal["auto", "off", "bf16", "fp16"] = "auto"
    augment: Literal["none", "light", "standard"] = "none"
    crop_scale: tuple[float, float] = (1.0, 1.0)
    crop_ratio: tuple[float, float] | None = None
    hflip: float = 0.0
    rand_augment: str | None = None
    erase: float = 0.0
    event_ops: tuple[EventOperation, ...] = ()
    mixup: float = 0.0
    cutmix: float = 0.0
    mixup_prob: float = 1.0
    mixup_off_epoch: int = 0
    repeats: int = 1
    rate_target: float = 0.0
    rate_penalty: float = 0.0
    labels: int | None = None
    layer_decay: float = 1.0
    drop_path: float = 0.0
    test_epochs: bool = False
    best_epoch: Literal["ignore", "keep", "use"] = "ignore"
    stop_on: tuple[Literal["dead_layer", "memory"], ...] = ()
    tensorboard: bool = False
    devices: int = 1
    sync_batchnorm: bool = True
    activation_checkpointing: Checkpointing = "off"
    fused: Literal["auto", "off"] = "off"
    workers: int = 0
    checkpoint_minutes: float = 10.0

    def __post_init__(self) -> None:
        wrong = [
            f"{name} must be {what}, got {getattr(self, name)}"
            for name, what, good in (
                ("epochs", "at least 0", self.epochs >= 0),
                ("batch_size", "at least 1", self.batch_size >= 1),
                ("accumulate", f"between 1 and batch_size ({self.batch_size})", 1 <= self.accumulate <= max(1, self.batch_size)),
                (
                    "sync_batchnorm",
                    f"true where batch_size ({self.batch_size}) is less than devices x accumulate",
                    self.devices < 1 or self.passes in (self.accumulate, *range(self.batch_size + 1)),
                ),
                ("lr", "above 0", self.lr > 0),
                ("min_lr", f"between 0 and lr ({self.lr})", 0 <= self.min_lr <= self.lr),
                (
                    "fused",
                    f"off where activation_checkpointing is {self.activation_checkpointing}",
                    self.fused == "off" or self.activation_checkpointing == "off",
                ),
                ("weight_decay", "at least 0", self.weight_decay >= 0),
                ("warmup_epochs", "at least 0", self.warmup_epochs >= 0),
                ("warmup_epochs", f"at most epochs ({self.epochs})", self.epochs == 0 or self.warmup_epochs <= self.epochs),
                ("warmup_lr", f"at least 0 and at most lr ({self.lr}), or null", 0 <= (self.warmup_lr or 0) <= self.lr),
                ("cooldown_epochs", "at least 0", self.cooldown_epochs >= 0),
                (
                    "cooldown_epochs",
                    f"at most epochs ({self.epochs}) less warmup_epochs ({self.warmup_epochs:g})",
                    self.epochs == 0 or self.cooldown_epochs <= self.epochs - min(self.warmup_epochs, self.epochs),
                ),
                ("label_smoothing", "at least 0 and below 1", 0 <= self.label_smoothing < 1),
                ("ema", "above 0 and below 1, or null", self.ema is None or 0 < self.ema < 1),
                (
                    "crop_scale",
                    "two areas above 0 and at most 1, the smaller one first",
                    0 < self.crop_scale[0] <= self.crop_scale[1] <= 1,
                ),
                (
                    "crop_ratio",
                    "two ratios above 0, the smaller one first, or null",
                    self.crop_ratio is None or 0 < self.crop_ratio[0] <= self.crop_ratio[1],
                ),
                *((name, "between 0 and 1", 0 <= getattr(self, name) <= 1) for name in ("hflip", "erase", "mixup_prob")),
                *((name, "at least 0", getattr(self, name) >= 0) for name in ("mixup", "cutmix", "mixup_off_epoch")),
                ("repeats", "at least 1", self.repeats >= 1),
                ("event_ops", "different operations", len(set(self.event_ops)) == len(self.event_ops)),
                ("clip_norm", "above 0, or null", self.clip_norm is None or self.clip_norm > 0),
                ("rate_target", "between 0 and 1", 0 <= self.rate_target <= 1),
                ("rate_penalty", "at least 0", self.rate_penalty >= 0),
                ("labels", "at least 1, or null", self.labels is None or self.labels >= 1),
                ("layer_decay", "above 0 and at most 1", 0 < self.layer_decay <= 1),
                ("drop_path", "at least 0 and below 1", 0 <= self.drop_path < 1),
                ("devices", "at least 1", self.devices >= 1),
                ("workers", "at least 0", self.workers >= 0),
                ("checkpoint_minutes", "at least 0", self.checkpoint_minutes >= 0),
            )
            if not good
        ]
        if self.rand_augment is not None:
            try:
                parse_rand_augment(self.rand_augment)
            except ValueError as error:
                wrong.append(str(error))
        if wrong:
            raise ValueError("\n".join(wrong))

    @property
    def passes(self) -> int:
        """How many passes, each with BatchNorm of its own, a step takes through the network, all devices together."""
        return self.accumulate * (1 if self.sync_batchnorm else self.devices)

    @property
    def crops(self) -> bool:
        """Whether random parts of images are trained on."""
        return self.crop_scale != (1.0, 1.0) or self.crop_ratio is not None

    @property
    def sides(self) -> tuple[float, float]:
        """Width by height of these parts, from and to."""
        return self.crop_ratio or SIDES

    def identity(self) -> Self:
        """The same training, with all that changes how it runs but not what comes out as it is by default.

        Devices whose BatchNorm is their own compute what one does in as many passes: it is that training.
        """
        best_epoch: Literal["ignore", "use"] = "use" if self.best_epoch == "use" else "ignore"
        same = replace(self, accumulate=self.passes, sync_batchnorm=True, devices=1)
        return replace(same, best_epoch=best_epoch, stop_on=(), tensorboard=False, workers=0, checkpoint_minutes=10.0)
