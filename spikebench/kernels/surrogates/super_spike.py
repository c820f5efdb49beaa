"""SuperSpike (Zenke and Ganguli 2018, arXiv 1705.11146): g = alpha / (1 + |z|)^2, as SpikingJelly scales it."""

from __future__ import annotations

from dataclasses import dataclass

from spikebench.kernels.surrogates._formula import Formula
from spikebench.kernels.surrogates._math import absolute


@dataclass(frozen=True)
class Options:
    """``alpha`` > 0: the peak."""

    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise ValueError(f"alpha must be above 0, got {self.alpha}")


class Surrogate(Formula):
    Options = Options

    @staticmethod
    def gradient(z: float, alpha: float) -> float:
        u = 1.0 + absolute(z)
        return alpha / (u * u)

    @staticmethod
    def primitive(z: float, alpha: float) -> float:
        return alpha * z / (1.0 + absolute(z)) + alpha
