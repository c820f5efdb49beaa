"""Encodings that turn grey values in 0..1 into binary spikes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from spikebench.core.errors import Problem
from spikebench.core.values import BINARY
from spikebench.core.variant import InputSpec, VariantSpec
from spikebench.networks.encodings._base import EncodingBase


@dataclass(frozen=True)
class GreyOptions:
    """``rescale``: stretch each image to 0..1 (``image``), which undoes a normalisation; or clip it to 0..1 (``none``)."""

    rescale: Literal["image", "none"] = "image"


class GreyEncoding(EncodingBase):
    """A subclass writes ``spikes(grey, T)``. No gradient passes to the image."""

    Options = GreyOptions
    emits = BINARY
    options: GreyOptions

    @classmethod
    def check(cls, options: Any, spec: VariantSpec, inputs: InputSpec) -> Iterator[Problem]:
        if inputs.events:
            yield Problem(f"{spec.encoding.name} encodes images, and this data set has event frames: use direct", key="encoding")

    def encode(self, image: Tensor, T: int) -> Tensor:
        return self.spikes(self.grey(image), T).to(image.dtype)

    def grey(self, image: Tensor) -> Tensor:
        """Values in 0..1, (B, C, H, W)."""
        grey = image.detach()
        if self.options.rescale == "image":
            low, high = grey.amin((1, 2, 3), keepdim=True), grey.amax((1, 2, 3), keepdim=True)
            grey = (grey - low) / (high - low).clamp_min(1e-12)
        return grey.clamp(0, 1)

    def spikes(self, grey: Tensor, T: int) -> Tensor:
        """(T, B, C, H, W) of zeros and ones from grey values (B, C, H, W) in 0..1."""
        raise NotImplementedError
