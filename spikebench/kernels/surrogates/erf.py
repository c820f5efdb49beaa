"""Gaussian: g = (alpha / sqrt(pi)) exp(-(alpha z)^2), the derivative of (1 + erf(alpha z)) / 2."""

from __future__ import annotations

from dataclasses import dataclass

from spikebench.kernels.surrogates._formula import Formula, Slope
from spikebench.kernels.surrogates._math import erf, exp, sqrt_pi


@dataclass(frozen=True)
class Options(Slope):
    """``alpha`` > 0: 1 / (sqrt(2) times the standard deviation)."""

    alpha: float = 2.0


class Surrogate(Formula):
    Options = Options

    @staticmethod
    def gradient(z: float, alpha: float) -> float:
        u = alpha * z
        return (alpha / sqrt_pi) * exp(-u * u)

    @staticmethod
    def primitive(z: float, alpha: float) -> float:
        return (erf(alpha * z) + 1.0) / 2.0
