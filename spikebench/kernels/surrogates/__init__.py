"""Surrogate gradients: the derivative that training puts in place of the step function's.

One file per surrogate. Each writes its equation once, in scalar Python with the few functions of ``_math``; the
torch, numba and Triton halves are that same equation with those functions bound to the framework's own
(``Formula.bind``), so they cannot drift apart.
"""

from spikebench.kernels.surrogates._formula import Formula, resolve

__all__ = ["Formula", "resolve"]
