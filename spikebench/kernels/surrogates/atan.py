"""Arctangent (Fang et al. 2021, arXiv 2007.05785), used by SpikingResformer: g = (alpha / 2) / (1 + (pi alpha z /
2)^2).
"""

from __future__ import annotations

from dataclasses import dataclass

from spikebench.kernels.surrogates._formula import Formula, Slope
from spikebench.kernels.surrogates._math import atan, pi


@dataclass(frozen=True)
class Options(Slope):
    """``alpha`` > 0: slope; the peak is alpha / 2."""

    alpha: float = 2.0


class Surrogate(Formula):
    Options = Options

    @staticmethod
    def gradient(z: float, alpha: float) -> float:
        u = (pi / 2.0 * alpha) * z
        return (alpha / 2.0) / (1.0 + u * u)

    @staticmethod
    def primitive(z: float, alpha: float) -> float:
        return atan(pi / 2.0 * alpha * z) / pi + 0.5
