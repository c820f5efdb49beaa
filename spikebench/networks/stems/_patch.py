"""Patch sizes: by how much a stem divides each side of the image."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from spikebench.core.errors import Problem
from spikebench.core.variant import InputSpec, VariantSpec

PatchSize = int | Literal["auto"]

STAGES = 4
"""Stages of the papers' stems; each can halve the image once."""


def resolve_patch(patch_size: PatchSize, size: int) -> int:
    """``auto`` is what the papers use for an image of this size: 224 and 128 -> 16, 64 -> 8, 32 -> 4, and 8 -> 2."""
    if patch_size != "auto":
        return patch_size
    return next((patch for least, patch in ((128, 16), (64, 8), (16, 4), (4, 2)) if size >= least), 1)


def halvings(patch_size: int) -> int:
    """log2 of a patch size that is a power of two."""
    return patch_size.bit_length() - 1


def halving_problems(options: Any, spec: VariantSpec, inputs: InputSpec, least: int = 1) -> Iterator[Problem]:
    """Why a stem whose stages halve the image cannot divide this one by this patch size."""
    patch = resolve_patch(options.patch_size, inputs.size)
    if not least <= patch <= 2**STAGES or patch & (patch - 1):
        known = ", ".join(str(2**k) for k in range(halvings(least), STAGES + 1))
        yield Problem(
            f"stem {spec.stem.name!r} halves the image in at most {STAGES} stages: one of {known}, got {patch}",
            key="stem.patch_size",
        )
    elif inputs.size % patch:
        yield Problem(
            f"an image of {inputs.size} x {inputs.size} cannot be divided into patches of {patch}", key="stem.patch_size"
        )


def width_problems(spec: VariantSpec, divisor: int = 8) -> Iterator[Problem]:
    """Stages of dim/8, dim/4, dim/2 and dim channels."""
    if spec.dim % divisor:
        yield Problem(
            f"stem {spec.stem.name!r} begins with dim/{divisor} channels; {spec.dim} is no multiple of {divisor}", key="dim"
        )


def division_problems(options: Any, inputs: InputSpec) -> Iterator[Problem]:
    """Why the image cannot be cut into patches of any size."""
    patch = resolve_patch(options.patch_size, inputs.size)
    if patch < 1 or inputs.size % patch:
        yield Problem(
            f"an image of {inputs.size} x {inputs.size} cannot be divided into patches of {patch}", key="stem.patch_size"
        )
