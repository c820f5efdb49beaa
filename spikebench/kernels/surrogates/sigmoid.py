"""Sigmoid, the surrogate of Spikformer (arXiv 2209.15425, App. C.1): g = alpha s (1 - s), s = sigmoid(alpha z)."""

from __future__ import annotations

from dataclasses import dataclass

from spikebench.kernels.surrogates._formula import Formula, Slope
from spikebench.kernels.surrogates._math import sigmoid


@dataclass(frozen=True)
class Options(Slope):
    """``alpha`` > 0: slope; the peak is alpha / 4."""

    alpha: float = 4.0


class Surrogate(Formula):
    Options = Options

    @staticmethod
    def gradient(z: float, alpha: float) -> float:
        s = sigmoid(alpha * z)
        return (1.0 - s) * s * alpha

    @staticmethod
    def primitive(z: float, alpha: float) -> float:
        return sigmoid(alpha * z)
