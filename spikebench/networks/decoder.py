"""The decoder of masked pre-training: a small transformer without spikes that paints hidden patches and is thrown away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from spikebench.networks.positions._waves import waves
from spikebench.networks.visible import Tokens


@dataclass(frozen=True)
class DecoderOptions:
    """``depth`` blocks of ``width`` channels and ``num_heads`` heads; ``position``: ``sincos``, or ``learned`` from there."""

    depth: int = 1
    width: int = 64
    num_heads: int = 4
    position: Literal["sincos", "learned"] = "sincos"

    def __post_init__(self) -> None:
        if self.depth < 0 or self.width < 1 or self.num_heads < 1:
            raise ValueError("width and num_heads must be at least 1, depth at least 0")
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} cannot be divided among {self.num_heads} heads")


class Decoder(nn.Module):
    """Visible tokens, averaged over time, and mask tokens at all other places become patches of ``patch`` values.

    After Masked Autoencoders (He et al., arXiv 2111.06377). Our reading: how Spikformer V2's decoder looks is not published;
    that it is light and does not spike, that T is averaged before it, and the LayerNorm on the average are guesses.
    """

    def __init__(self, options: DecoderOptions, dim: int, grid: int, patch: int) -> None:
        super().__init__()
        width = options.width
        self.enter = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, width))
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)
        self.position = nn.Parameter(waves(width, grid).t(), requires_grad=options.position == "learned")
        self.blocks = nn.Sequential(*(DecoderBlock(width, options.num_heads) for _ in range(options.depth)))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, patch))

    def forward(self, x: Tensor, tokens: Tokens) -> Tensor:
        """(B, N, patch) from the encoder's tokens (T, B, dim, visible)."""
        latent = self.enter(x.mean(0).transpose(1, 2))
        out: Tensor = self.leave(self.blocks(self.place(latent, tokens) + self.position))
        return out

    def place(self, latent: Tensor, tokens: Tokens) -> Tensor:
        """(B, N, width): each of ``latent`` (B, visible, width) where its token stands, the mask token everywhere else."""
        B, N = tokens.mask.shape
        places = tokens.places.unsqueeze(-1).expand(-1, -1, latent.shape[2])
        return self.mask_token.to(latent.dtype).expand(B, N, -1).scatter(1, places, latent)


class DecoderBlock(nn.Module):
    """Pre-norm attention and MLP of four times the width (Dosovitskiy et al., arXiv 2010.11929)."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm, self.mlp_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, width) from (B, N, width)."""
        q, k, v = self.qkv(self.attention_norm(x)).unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        out: Tensor = x + self.mlp(self.mlp_norm(x))
        return out
