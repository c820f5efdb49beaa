"""Soft sign: g = 1 / (2 alpha (1 / alpha + |z|)^2), with the heavy tails of x / (1 + |x|)."""

from __future__ import annotations

from dataclasses import dataclass

from spikebench.kernels.surrogates._formula import Formula
from spikebench.kernels.surrogates._math import absolute


@dataclass(frozen=True)
class Options:
    """``alpha`` > 0: slope; the peak is alpha / 2."""

    alpha: float = 2.0

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise ValueError(f"alpha must be above 0, got {self.alpha}")


class Surrogate(Formula):
    Options = Options

    @staticmethod
    def gradient(z: float, alpha: float) -> float:
        u = 1.0 / alpha + absolute(z)
        return 1.0 / (2.0 * alpha * u * u)

    @staticmethod
    def primitive(z: float, alpha: float) -> float:
        u = alpha * z
        return (u / (1.0 + absolute(u)) + 1.0) / 2.0
