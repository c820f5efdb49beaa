"""Soft sign: g = 1 / (2 alpha (1 / alpha + |z|)^2), with the heavy tails of x / (1 + |x|)."""

from __future__ import annotations

from dataclasses import dataclass

from spikebench.kernels.surrogates._formula import Formula, Slope
from spikebench.kernels.surrogates._math import absolute


@dataclass(frozen=True)
class Options(Slope):
    """``alpha`` > 0: slope; the peak is alpha / 2."""

    alpha: float = 2.0


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
