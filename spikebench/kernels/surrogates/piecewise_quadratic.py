"""Triangle (Bellec et al. 2018, arXiv 1803.09574): g = max(0, alpha - alpha^2 |z|), zero beyond 1 / alpha."""

from __future__ import annotations

from dataclasses import dataclass

from spikebench.kernels.surrogates._formula import Formula, Slope
from spikebench.kernels.surrogates._math import absolute, where


@dataclass(frozen=True)
class Options(Slope):
    """``alpha`` > 0: the peak, and 1 / half of the width."""

    alpha: float = 1.0


class Surrogate(Formula):
    Options = Options

    @staticmethod
    def gradient(z: float, alpha: float) -> float:
        a = absolute(z)
        return where(a > 1.0 / alpha, 0.0, alpha - alpha * alpha * a)

    @staticmethod
    def primitive(z: float, alpha: float) -> float:
        inside = z * (alpha - alpha * alpha * absolute(z) / 2.0) + 0.5
        step = where(z > 0.0, 1.0, 0.0)
        return where(absolute(z) > 1.0 / alpha, step, inside)
