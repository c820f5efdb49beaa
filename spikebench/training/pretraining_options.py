"""How a network is pre-trained: the options of the harness ``pretrain``, checked without importing torch."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal, Self

from annotated_types import Ge, Gt, Lt

from spikebench.training.options import TrainingOptions


@dataclass(frozen=True)
class PretrainingOptions:
    """Masked image modelling. Our reading: Spikformer V2's settings (arXiv 2401.02020) are not published; these are near Masked
    Autoencoders' (arXiv 2111.06377), but for the length, which suits small data.

    ``mask_ratio``, ``block``, ``targets``, ``sparse_stem``: see ``networks.masked.Masking``. ``T``: time steps in pre-training;
    null: the variant's own, and fine-tuning may have others either way. ``position``: the embedding that a variant without one
    gets, here and in fine-tuning. ``decoder_*``: see ``networks.decoder.DecoderOptions``. The rest as in ``train``; ``augment``
    changes images before they are hidden.
    """

    method: Literal["masked"] = "masked"
    mask_ratio: Annotated[float, Gt(0), Lt(1)] = 0.75
    block: Annotated[int, Ge(1)] = 1
    targets: Literal["raw", "normalised"] = "normalised"
    sparse_stem: bool = True
    T: Annotated[int, Ge(1)] | None = None
    position: str = "spikes"
    decoder_depth: Annotated[int, Ge(0)] = 1
    decoder_width: Annotated[int, Ge(1)] = 64
    decoder_heads: Annotated[int, Ge(1)] = 4
    epochs: Annotated[int, Ge(1)] = 20
    batch_size: Annotated[int, Ge(1)] = 64
    lr: float = 1e-3
    min_lr: float = 1e-5
    weight_decay: float = 0.05
    warmup_epochs: float = 1.0
    schedule: Literal["cosine", "constant"] = "cosine"
    clip_norm: float | None = 1.0
    amp: Literal["auto", "off", "bf16"] = "auto"
    augment: Literal["none", "light", "standard"] = "none"
    stop_on: tuple[Literal["dead_layer", "memory"], ...] = ()
    workers: int = 0
    checkpoint_minutes: float = 10.0

    def __post_init__(self) -> None:
        if self.decoder_width % self.decoder_heads:
            raise ValueError(f"decoder_width {self.decoder_width} cannot be divided among {self.decoder_heads} heads")
        self.training()

    def identity(self) -> Self:
        """As of ``TrainingOptions``."""
        return replace(self, stop_on=(), workers=0, checkpoint_minutes=10.0)

    def training(self) -> TrainingOptions:
        """What the loop needs to know. Raises ValueError for numbers that make no training."""
        shared = {name: getattr(self, name) for name in TrainingOptions.__dataclass_fields__ if name in self.__dataclass_fields__}
        return TrainingOptions(**shared)
