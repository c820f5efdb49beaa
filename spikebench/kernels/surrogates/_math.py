"""The functions that a surrogate's equation may use, on Python floats.

A backend binds an equation to its own functions of the same names (``Formula.bind``); what stands here defines their
meaning.
"""

from __future__ import annotations

import math

pi = math.pi
sqrt_pi = math.sqrt(math.pi)
atan = math.atan
erf = math.erf
exp = math.exp


def absolute(z: float) -> float:
    return abs(z)


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def where(condition: bool, yes: float, no: float) -> float:
    return yes if condition else no
