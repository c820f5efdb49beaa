"""Random numbers that belong to an image: the same alone, in any batch, at any place of it, and on any device."""

from __future__ import annotations

import torch
from torch import Tensor


def draws_of(image: Tensor, T: int, seed: int) -> Tensor:
    """Uniform float32 numbers in 0..1, 1 left out, (T, B, C, H, W) from ``image`` (B, C, H, W).

    A hash of ``seed``, of all that the image holds (as float32) and of where the number stands: splitmix64's finaliser (Steele et
    al. 2014) over a counter, in integers, which round nowhere. More steps leave the numbers of the first ones as they are.
    """
    bits = (image.detach().float() + 0.0).contiguous().view(torch.int32).long().flatten(1)  # -0.0 is 0.0
    places = torch.arange(1, T * bits.shape[1] + 1, device=image.device).view(T, -1) * GOLDEN
    key = _mix(_mix(bits + places[0]).sum(1) + _mix(torch.full((), seed, device=image.device) * GOLDEN))
    numbers = _mix(key.unsqueeze(1) + places.unsqueeze(1))
    return (_right(numbers, 40).float() * 2.0**-24).view(T, *image.shape)


def _signed(number: int) -> int:
    """An unsigned 64-bit constant as torch's int64 holds it."""
    return number - 2**64 if number >= 2**63 else number


GOLDEN, FIRST, SECOND = map(_signed, (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def _right(x: Tensor, places: int) -> Tensor:
    """A shift that fills up with zeros."""
    return (x >> places) & ((1 << (64 - places)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _right(x, 30)) * FIRST
    x = (x ^ _right(x, 27)) * SECOND
    return x ^ _right(x, 31)
