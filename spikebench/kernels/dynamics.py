"""The parameters of a leaky integrate-and-fire neuron, checked once and shared by every backend."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import lru_cache

from spikebench.core.errors import InputError, Problem
from spikebench.kernels.surrogates import Formula, resolve


@dataclass(frozen=True)
class Dynamics:
    """How one neuron integrates, fires and resets (Fang et al. 2021, arXiv 2007.05785, eqs 1-3; SpikingJelly's
    LIFNode).

    With r = v_reset (0 for a soft reset) and V[-1] = r, for t = 0..T-1::

        H[t] = V[t-1] + (X[t] - (V[t-1] - r)) / tau        decay_input
        H[t] = V[t-1] - (V[t-1] - r) / tau + X[t]          not decay_input
        H[t] = V[t-1] + X[t]                               tau None: no leak, integrate-and-fire
        S[t] = 1 if H[t] >= v_threshold else 0
        V[t] = r if S[t] else H[t]                         hard reset
        V[t] = H[t] - v_threshold S[t]                     soft reset: v_reset None

    ``tau``: membrane time constant in steps, at least 1, or None. ``detach_reset``: no gradient flows through the
    reset. A NaN never fires and stays NaN until the sequence ends; +inf fires and a hard reset brings the neuron back
    to r. Raises InputError with a problem for each parameter that is out of range.
    """

    tau: float | None = 2.0
    v_threshold: float = 1.0
    v_reset: float | None = 0.0
    decay_input: bool = True
    detach_reset: bool = True
    surrogate: Formula = field(default_factory=lambda: resolve("sigmoid"))

    def __post_init__(self) -> None:
        problems = []
        if self.tau is not None and not (math.isfinite(self.tau) and self.tau >= 1):
            problems.append(
                Problem(f"must be a finite number >= 1, or None for a neuron without leak; got {self.tau}", key="tau")
            )
        if not math.isfinite(self.v_threshold):
            problems.append(Problem(f"must be finite, got {self.v_threshold}", key="v_threshold"))
        if self.v_reset is not None and not math.isfinite(self.v_reset):
            problems.append(Problem(f"must be finite, or None for a soft reset; got {self.v_reset}", key="v_reset"))
        if problems:
            raise InputError(problems)

    @property
    def soft(self) -> bool:
        """Whether a spike subtracts the threshold instead of setting the membrane to ``v_reset``."""
        return self.v_reset is None

    @property
    def rest(self) -> float:
        """r of the equations: where the membrane starts and leaks to."""
        return 0.0 if self.v_reset is None else self.v_reset

    def encode(self) -> str:
        """As one string, for an operator's arguments, which are plain data."""
        return json.dumps([self.tau, self.v_threshold, self.v_reset, self.decay_input, self.detach_reset, self.surrogate.key])

    @staticmethod
    @lru_cache(maxsize=1024)
    def decode(text: str) -> Dynamics:
        """The inverse of ``encode``."""
        tau, v_threshold, v_reset, decay_input, detach_reset, surrogate = json.loads(text)
        return Dynamics(tau, v_threshold, v_reset, decay_input, detach_reset, resolve(surrogate))
