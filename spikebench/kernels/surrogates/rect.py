"""Rectangle, the boxcar of STBP (Wu et al. 2018, arXiv 1706.02609): g = alpha within |z| < 1 / (2 alpha), else 0."""

from __future__ import annotations

from dataclasses import dataclass

from spikebench.kernels.surrogates._formula import Formula, Slope
from spikebench.kernels.surrogates._math import absolute, where


@dataclass(frozen=True)
class Options(Slope):
    """``alpha`` > 0: the height, and 1 / width."""

    alpha: float = 1.0


class Surrogate(Formula):
    Options = Options

    @staticmethod
    def gradient(z: float, alpha: float) -> float:
        return where(absolute(z) < 0.5 / alpha, 0.0 * z + alpha, 0.0)  # 0.0 * z: where of two numbers has no dtype

    @staticmethod
    def primitive(z: float, alpha: float) -> float:
        inside = alpha * z + 0.5
        step = where(z > 0.0, 1.0, 0.0)
        return where(absolute(z) < 0.5 / alpha, inside, step)
