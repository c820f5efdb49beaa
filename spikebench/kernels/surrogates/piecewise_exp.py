"""Two-sided exponential (Shrestha and Orchard 2018, SLAYER, arXiv 1810.08646): g = (alpha / 2) exp(-alpha |z|)."""

from __future__ import annotations

from dataclasses import dataclass

from spikebench.kernels.surrogates._formula import Formula, Slope
from spikebench.kernels.surrogates._math import absolute, exp, where


@dataclass(frozen=True)
class Options(Slope):
    """``alpha`` > 0: slope; the peak is alpha / 2."""

    alpha: float = 1.0


class Surrogate(Formula):
    Options = Options

    @staticmethod
    def gradient(z: float, alpha: float) -> float:
        return (alpha / 2.0) * exp(-alpha * absolute(z))

    @staticmethod
    def primitive(z: float, alpha: float) -> float:
        tail = exp(-alpha * absolute(z)) / 2.0
        return where(z > 0.0, 1.0 - tail, tail)
