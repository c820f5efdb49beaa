"""Every registered surrogate against its own primitive (finite differences) and against SpikingJelly's backward
functions.
"""

import math

import pytest
import torch
from spikingjelly.activation_based import surrogate as spikingjelly

from spikebench.core.choice import Choice
from spikebench.core.errors import InputError
from spikebench.core.registry import REGISTRIES
from spikebench.kernels.lif.reference import TORCH
from spikebench.kernels.surrogates import resolve

NAMES = REGISTRIES["surrogates"].names()
KINKS = (0.0, 0.5, 1.0, 2.0)  # in units of 1 / alpha: nothing is compared within 1e-3 of them


def grid(alpha: float) -> torch.Tensor:
    z = torch.linspace(-3, 3, 1201, dtype=torch.float64)
    return z[[all(abs(abs(v) - kink / alpha) > 1e-3 for kink in KINKS) for v in z.tolist()]]


@pytest.mark.parametrize("alpha", [0.7, 1.0, 4.0])
@pytest.mark.parametrize("name", NAMES)
def test_gradient_is_the_derivative_of_the_primitive(name: str, alpha: float) -> None:
    formula = resolve({"name": name, "alpha": alpha})
    z, step = grid(alpha), 1e-6
    gradient, primitive = formula.bind("gradient", TORCH), formula.bind("primitive", TORCH)
    difference = (primitive(z + step, alpha) - primitive(z - step, alpha)) / (2 * step)
    torch.testing.assert_close(gradient(z, alpha), difference, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("alpha", [None, 3.0])
@pytest.mark.parametrize("name", NAMES)
def test_gradient_and_default_are_spikingjellys(name: str, alpha: float | None) -> None:
    if not hasattr(spikingjelly, f"{name}_backward"):
        pytest.skip("SpikingJelly has no such surrogate")
    formula = resolve(name if alpha is None else {"name": name, "alpha": alpha})
    class_name = {"atan": "ATan"}.get(name, "".join(part.title() for part in name.split("_")))
    theirs = getattr(spikingjelly, class_name)(**({} if alpha is None else {"alpha": alpha}))
    z = grid(theirs.alpha).requires_grad_()
    theirs(z).sum().backward()
    torch.testing.assert_close(formula.bind("gradient", TORCH)(z.detach(), *formula.arguments), z.grad)


@pytest.mark.parametrize("name", NAMES)
def test_the_torch_half_is_the_scalar_equation(name: str) -> None:
    formula = resolve(name)
    for equation in ("gradient", "primitive"):
        z = torch.linspace(-2.9, 3.1, 50, dtype=torch.float64)
        scalar = [getattr(formula, equation)(v, *formula.arguments) for v in z.tolist()]
        bound = formula.bind(equation, TORCH)(z, *formula.arguments)
        torch.testing.assert_close(bound.double(), torch.tensor(scalar, dtype=torch.float64))


def test_scalar_sigmoid_does_not_overflow() -> None:
    formula = resolve("sigmoid")
    assert formula.primitive(-1e3, 4.0) == 0.0
    assert formula.primitive(1e3, 4.0) == 1.0
    assert math.isclose(formula.gradient(0.0, 4.0), 1.0)


def test_spellings() -> None:
    assert resolve("atan") == resolve(Choice("atan")) == resolve({"name": "atan", "alpha": 2.0}) == resolve({"atan": None})
    assert resolve("atan") != resolve({"name": "atan", "alpha": 3.0})
    assert resolve("atan") != resolve("erf")
    assert str(resolve({"name": "atan", "alpha": 3.0})) == "atan(alpha=3.0)"
    assert resolve(resolve("erf")) == resolve("erf")
    assert hash(resolve("erf")) == hash(resolve("erf"))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ("sigmod", "did you mean 'sigmoid'"),
        ({"name": "sigmoid", "beta": 1.0}, "no option 'beta'"),
        ({"name": "sigmoid", "alpha": -1.0}, "alpha must be above 0"),
        ({"name": "sigmoid", "alpha": "steep"}, "steep"),
    ],
)
def test_wrong_ones_say_what_is_wrong(wrong: object, says: str) -> None:
    with pytest.raises(InputError, match=says):
        resolve(wrong)  # type: ignore[arg-type]
