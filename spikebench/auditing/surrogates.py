"""A surrogate's gradient against the numerical derivative of the smooth step that it stands for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from spikebench.kernels.lif.reference import TORCH
from spikebench.kernels.surrogates import Formula

STEP = 1e-5
TOLERANCE = 1e-3
"""Of the largest gradient: far above what central differences err by, far below a wrong factor."""

Pair = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]


def surrogates(model: nn.Module) -> Iterator[tuple[str, Pair | None]]:
    """Module path -> (gradient, primitive) of each neuron that has a surrogate; None where its primitive is not known."""
    for name, module in model.named_modules():
        formula = getattr(module, "surrogate", None)
        if isinstance(formula, Formula):
            yield name, _of_formula(formula)
        theirs = getattr(module, "surrogate_function", None)
        if isinstance(theirs, nn.Module):
            inner = getattr(theirs, "formula", None)
            yield name, _of_formula(inner) if isinstance(inner, Formula) else _of_spikingjelly(theirs)


def error(pair: Pair) -> float:
    """Largest difference of the two over z in -3..3, as a fraction of the largest gradient; corners of the curve left out."""
    gradient, primitive = pair
    z = torch.linspace(-3.0, 3.0, 601, dtype=torch.float64) + 1e-3
    given = gradient(z)
    numerical = (primitive(z + STEP) - primitive(z - STEP)) / (2 * STEP)
    one_sided = ((primitive(z + STEP) - primitive(z)) / STEP - (primitive(z) - primitive(z - STEP)) / STEP).abs()
    size = float(given.abs().max().clamp_min(1e-12))
    smooth = one_sided < 0.05 * max(size, float(numerical.abs().max()))
    return float(((given - numerical).abs() * smooth).max()) / size


def _of_formula(formula: Formula) -> Pair:
    gradient, primitive = formula.bind("gradient", TORCH), formula.bind("primitive", TORCH)
    return lambda z: gradient(z, *formula.arguments), lambda z: primitive(z, *formula.arguments)


def _of_spikingjelly(theirs: Any) -> Pair | None:
    given = getattr(theirs, "_sg_params", None)
    if given is None or not hasattr(theirs, "primitive_function"):
        return None

    def gradient(z: Tensor) -> Tensor:
        leaf = z.clone().requires_grad_()
        with torch.enable_grad():
            (found,) = torch.autograd.grad(theirs.spiking_function(leaf, **given).sum(), leaf)
        return found

    def primitive(z: Tensor) -> Tensor:
        out: Tensor = theirs.primitive_function(z, **given)
        return out

    try:
        primitive(torch.zeros(1, dtype=torch.float64))
    except NotImplementedError:
        return None
    return gradient, primitive
