"""Gaussian: g = (alpha / sqrt(pi)) exp(-(alpha z)^2), the derivative of (1 + erf(alpha z)) / 2."""

from __future__ import annotations

from dataclasses import dataclass

from spikebench.kernels.surrogates._formula import Formula
from spikebench.kernels.surrogates._math import erf, exp, sqrt_pi


@dataclass(frozen=True)
class Options:
    """``alpha`` > 0: 1 / (sqrt(2) times the standard deviation)."""

    alpha: float = 2.0

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise ValueError(f"alpha must be above 0, got {self.alpha}")


class Surrogate(Formula):
    Options = Options

    @staticmethod
    def gradient(z: float, alpha: float) -> float:
        u = alpha * z
        return (alpha / sqrt_pi) * exp(-u * u)

    @staticmethod
    def primitive(z: float, alpha: float) -> float:
        return (erf(alpha * z) + 1.0) / 2.0
