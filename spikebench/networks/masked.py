"""Masked image modelling for every network whose tokens can be cut: what is visible is encoded, what is hidden is predicted.

Spikformer V2 (arXiv 2401.02020) pre-trains so, but neither its code nor its settings are public: this is *our reading*, after
Masked Autoencoders (arXiv 2111.06377) and, for the convolutional stem, SparK (arXiv 2301.03580).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast

import torch
from torch import Tensor, nn

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError, Problem
from spikebench.core.registry import REGISTRIES
from spikebench.core.variant import COMPONENTS, InputSpec, VariantSpec
from spikebench.networks.building import build
from spikebench.networks.checks import check, resolve
from spikebench.networks.decoder import Decoder, DecoderOptions
from spikebench.networks.families.spikformer import Family
from spikebench.networks.masking import draw_mask, hidden_tokens
from spikebench.networks.shortcuts import over_steps
from spikebench.networks.visible import DenseView, SparseView, Tokens, seeing

Targets = Literal["raw", "normalised"]


@dataclass(frozen=True)
class Masking:
    """How a network is pre-trained. ``mask_ratio``: share of hidden tokens; 0 hides none, for comparisons.

    ``block``: see ``draw_mask``. ``targets``: pixels as they are, or each patch by its own mean and variance. ``sparse_stem``:
    compute visible cells alone; False: whole images, hidden again after each layer, which gives the same and costs more.
    """

    mask_ratio: float = 0.75
    block: int = 1
    targets: Targets = "normalised"
    sparse_stem: bool = True
    decoder: DecoderOptions = DecoderOptions()

    def __post_init__(self) -> None:
        if not 0 <= self.mask_ratio < 1:
            raise ValueError(f"mask_ratio must be at least 0 and below 1, got {self.mask_ratio}")
        if self.block < 1:
            raise ValueError(f"block must be at least 1, got {self.block}")
        if self.targets not in ("raw", "normalised"):
            raise ValueError(f"targets must be raw or normalised, got {self.targets!r}")


class Reconstruction(NamedTuple):
    """``loss``: mean squared error over hidden patches, 0-d. ``reconstruction`` (B, channels, size, size): the decoder's answer
    for every patch, in units of the targets. ``mask`` (B, N) bool, True = hidden, row-major. ``mean_line``: the loss of who
    answers with each hidden patch's mean; below it, something was learned.
    """

    loss: Tensor
    reconstruction: Tensor
    mask: Tensor
    mean_line: Tensor


class MaskedNetwork(nn.Module):
    """``network``: the network without its head. ``decoder``: what paints the hidden patches."""

    def __init__(self, network: Family, masking: Masking) -> None:
        super().__init__()
        self.masking, self.spec, self.inputs = masking, network.spec, network.inputs
        self.patch_size = int(resolve(network.spec, network.inputs).stem.resolve("stems").patch_size)
        self.grid = self.inputs.size // self.patch_size
        self.network = network
        network.head = nn.Identity()
        self.decoder = Decoder(masking.decoder, self.spec.dim, self.grid, self.inputs.channels * self.patch_size**2)

    @property
    def T(self) -> int:  # noqa: N802 - the field's name for it
        """Time steps of a static image."""
        return self.network.T

    def encode(self, x: Tensor, mask: Tensor) -> Tensor:
        """Tokens (T, B, dim, visible), in the order of their places, of images (B, C, H, W) or steps (T, B, C, H, W).

        ``mask`` (B, N) bool, True = hidden, row-major, with the same number of visible tokens in each row. Hidden pixels change
        nothing: neither tokens nor BatchNorm's statistics, which are those of visible positions. Raises ValueError for a mask
        of another shape.
        """
        return self._encode(x, Tokens(mask, self.grid))

    def _encode(self, x: Tensor, tokens: Tokens) -> Tensor:
        network = self.network
        if tokens.all_visible:
            return network.tokens(x)
        view = SparseView(tokens) if self.masking.sparse_stem else DenseView(tokens)
        steps = over_steps(view.take, network.encoding(x.masked_fill(tokens.pixels(x.shape[-1]), 0), self.T))
        with seeing(view):
            embedded = network.stem(steps)
        if not self.masking.sparse_stem:
            embedded = over_steps(tokens.take, embedded.flatten(3))
        encoded: Tensor = network.blocks(network.position(embedded, tokens))
        return encoded

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Reconstruction:
        """Hide, encode, paint and compare; ``mask`` is drawn if it is left out, from torch's global generator of the CPU.

        Raises InputError where nothing is hidden.
        """
        if mask is None:
            batch = x.shape[-4]
            mask = draw_mask(batch, self.grid, self.masking.mask_ratio, self.masking.block).to(x.device)
        tokens = Tokens(mask, self.grid)
        if tokens.all_visible:
            raise InputError(Problem("nothing is hidden, so there is nothing to predict", key="mask_ratio"))
        answer = self.decoder(self._encode(x, tokens), tokens).float()
        targets = self.targets(x)
        hidden = targets[mask]
        loss = (answer[mask] - hidden).square().mean()
        mean_line = (hidden - hidden.mean(1, keepdim=True)).square().mean()
        return Reconstruction(loss, self.unpatch(answer), mask, mean_line)

    def targets(self, x: Tensor) -> Tensor:
        """(B, N, channels * patch_size^2) from images; of event frames their mean over time is to be predicted."""
        patches = self.patch(x.mean(0) if x.dim() == 5 else x).float()
        if self.masking.targets == "raw":
            return patches
        mean, variance = patches.mean(2, keepdim=True), patches.var(2, keepdim=True)
        return (patches - mean) / (variance + 1e-6).sqrt()

    def pixels(self, x: Tensor, reconstruction: Tensor) -> Tensor:
        """``reconstruction`` in pixels: normalised answers get back the mean and the variance of the true patch, for the eye."""
        if self.masking.targets == "raw":
            return reconstruction
        patches = self.patch(x.mean(0) if x.dim() == 5 else x).float()
        mean, variance = patches.mean(2, keepdim=True), patches.var(2, keepdim=True)
        return self.unpatch(self.patch(reconstruction) * (variance + 1e-6).sqrt() + mean)

    def patch(self, x: Tensor) -> Tensor:
        """(B, N, channels * patch_size^2) from images (B, channels, size, size)."""
        g, P = self.grid, self.patch_size
        return x.reshape(*x.shape[:2], g, P, g, P).permute(0, 2, 4, 1, 3, 5).reshape(len(x), g * g, -1)

    def unpatch(self, patches: Tensor) -> Tensor:
        """The inverse of ``patch``."""
        g, P = self.grid, self.patch_size
        square = patches.view(len(patches), g, g, self.inputs.channels, P, P)
        return square.permute(0, 3, 1, 4, 2, 5).reshape(len(patches), self.inputs.channels, g * P, g * P)


def build_masked(spec: VariantSpec, inputs: InputSpec, masking: Masking | None = None) -> MaskedNetwork:
    """A network with its decoder, weights from torch's global generator: first the network's, which equal ``build``'s.

    Raises InputError with every problem that ``masked_problems`` finds.
    """
    masking = masking or Masking()
    problems = list(masked_problems(spec, inputs, masking)) or check(spec, inputs)
    if problems:
        raise InputError(problems)
    return MaskedNetwork(cast(Family, build(spec, inputs)), masking)


def with_position(spec: VariantSpec, position: str = "spikes") -> VariantSpec:
    """``spec`` as it is pre-trained and fine-tuned: with the position embedding ``position`` unless it names one itself."""
    return spec if spec.position != VariantSpec().position else spec.replace(position=position)


def masked_problems(spec: VariantSpec, inputs: InputSpec, masking: Masking) -> Iterator[Problem]:
    """Why a network that exists cannot be pre-trained; keys are fields of the variant, or ``mask_ratio``."""
    whole = True
    for field in ("family", "stem", "attention"):
        choice: Choice = getattr(spec, field)
        ask: Any = getattr(REGISTRIES[COMPONENTS[field]].get(choice.name), "subset_problem", None)
        reason = ask(choice.resolve(COMPONENTS[field])) if ask else "does not say that it works on a part of the tokens"
        if reason:
            whole = False
            yield Problem(f"{field} {choice.name!r} cannot be pre-trained on visible tokens: it {reason}", key=field)
    if not whole:
        return
    N = (inputs.size // int(resolve(spec, inputs).stem.resolve("stems").patch_size)) ** 2
    hidden = hidden_tokens(masking.mask_ratio, N)
    if hidden >= N:
        yield Problem(f"hides all {N} tokens: at least one must stay visible", key="mask_ratio")
    elif hidden == 0 and masking.mask_ratio > 0:
        yield Problem(f"hides none of {N} tokens", key="mask_ratio")


def make_mask(model: MaskedNetwork, batch: int, seed: int) -> Tensor:
    """A mask that is the same whenever it is asked for, on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    return draw_mask(batch, model.grid, model.masking.mask_ratio, model.masking.block, generator)
