"""Rounding to fewer digits, against exact arithmetic."""

from fractions import Fraction

import pytest
import torch
from torch import nn

from spikebench.auditing.low_precision import PRECISIONS, LowPrecision

DIGITS = {"bf16": 8, "fp16": 11, "tf32": 11}


def nearest(value, digits):
    """To so many binary digits, ties to even, in exact fractions."""
    exact = Fraction(value)
    if not exact:
        return 0.0
    exponent = 0
    while abs(exact) >= Fraction(2) ** (exponent + 1):
        exponent += 1
    while abs(exact) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** (exponent - digits + 1)
    return float(round(exact / unit) * unit)


@pytest.mark.parametrize("name", PRECISIONS)
def test_operands_are_rounded_to_their_digits_ties_to_even(name):
    values = torch.randn(200, dtype=torch.float32, generator=torch.Generator().manual_seed(0))
    ties = torch.tensor([1 + 2.0 ** -DIGITS[name], 1 + 3 * 2.0 ** -DIGITS[name], -1.5, 0.0, 3.0])
    for value in torch.cat([values, ties]).tolist():
        operand, _ = PRECISIONS[name]
        assert float(operand(torch.tensor(value, dtype=torch.float64))) == nearest(value, DIGITS[name])


def test_infinities_stay_and_what_is_too_large_overflows():
    operand = {name: PRECISIONS[name][0](torch.tensor([float("inf"), 1e5], dtype=torch.float64)) for name in PRECISIONS}
    assert all(torch.isinf(found[0]) for found in operand.values())
    assert torch.isinf(operand["fp16"][1])
    assert not torch.isinf(operand["bf16"][1])


@pytest.mark.parametrize("name", PRECISIONS)
def test_products_alone_are_rounded_and_named_by_module(name):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Sequential(nn.Linear(5, 4))).double()
    x = torch.randn(3, 6, dtype=torch.float64)
    mode = LowPrecision(name)
    with torch.no_grad(), mode.running(model):
        found = model(x)
    assert mode.scopes == ["0", "2.0"]
    operand, result = (lambda y, f=f: f(y).double() for f in PRECISIONS[name])

    def linear(layer, y):
        exact = operand(y) @ operand(layer.weight).T + operand(layer.bias)
        return result(exact)

    with torch.no_grad():
        expected = linear(model[2][0], torch.tanh(linear(model[0], x)))
        half = linear(model[0], x)
        first = LowPrecision(name, only=1)
        with first.running(model):
            got = model(x)
        torch.testing.assert_close(got, model[2](torch.tanh(half)), rtol=0, atol=1e-12)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
