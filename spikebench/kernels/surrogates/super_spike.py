"""SuperSpike (Zenke and Ganguli 2018, arXiv 1705.11146): g = alpha / (1 + |z|)^2, as SpikingJelly scales it."""

from __future__ import annotations

from dataclasses import dataclass

from spikebench.kernels.surrogates._formula import Formula, Slope
from spikebench.kernels.surrogates._math import absolute


@dataclass(frozen=True)
class Options(Slope):
    """``alpha`` > 0: the peak."""

    alpha: float = 1.0


class Surrogate(Formula):
    Options = Options

    @staticmethod
    def gradient(z: float, alpha: float) -> float:
        u = 1.0 + absolute(z)
        return alpha / (u * u)

    @staticmethod
    def primitive(z: float, alpha: float) -> float:
        return alpha * z / (1.0 + absolute(z)) + alpha
