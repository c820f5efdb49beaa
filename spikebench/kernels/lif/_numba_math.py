"""float32 mathematics that LLVM vectorises: bit casts, half precision, and a polynomial exponential.

``np.exp`` compiles to one library call per number; on this the backward pass would spend most of its time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
from numba import njit, types
from numba.extending import intrinsic

from spikebench.kernels.surrogates import Formula

F = np.float32
# Contraction (a fused multiply-add) is allowed in gradients alone: in the membrane it would round differently and flip spikes.
gradient_jit: Callable[..., Any] = njit(error_model="numpy", fastmath={"contract", "nsz"})

# Inlined before numba types anything: compiled one by one, small functions would take longer than the loops.
inlined: Callable[..., Any] = njit(error_model="numpy", inline="always")


@intrinsic  # type: ignore[untyped-decorator]
def float_of_bits(typing: Any, bits: Any) -> Any:
    """The float32 whose bit pattern is this int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic  # type: ignore[untyped-decorator]
def bits_of_float(typing: Any, value: Any) -> Any:
    """The bit pattern of a float32 as an int32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


@intrinsic  # type: ignore[untyped-decorator]
def float_of_half(typing: Any, bits: Any) -> Any:
    """The float32 equal to the float16 with this bit pattern (uint16)."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fpext(builder.bitcast(arguments[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), generate


@intrinsic  # type: ignore[untyped-decorator]
def half_of_float(typing: Any, value: Any) -> Any:
    """The bit pattern (uint16) of the float16 nearest to a float32, ties to even."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(builder.fptrunc(arguments[0], ir.HalfType()), ir.IntType(16))

    return types.uint16(types.float32), generate


@inlined
def float_of_bfloat(bits: Any) -> Any:
    return float_of_bits(np.int32(bits) << np.int32(16))


@inlined
def bfloat_of_float(value: Any) -> Any:
    bits = bits_of_float(value)
    rounded = bits + np.int32(0x7FFF) + ((bits >> np.int32(16)) & np.int32(1))  # to nearest, ties to even
    return np.uint16((rounded if value == value else np.int32(0x7FC00000)) >> np.int32(16))


# Casts keep sums of int32 what they are: numba adds them as int64, half as many at a time.
@njit(error_model="numpy")  # type: ignore[untyped-decorator]
def add_steps(fired: Any, sums: Any) -> None:
    """Of each neuron, in how many steps it fired, added to ``sums``. ``fired``: int32, of four steps a byte each, 0 or 1."""
    for j in range(len(fired)):
        sums[j] += F(np.int32(np.int32(fired[j] * np.int32(0x01010101)) >> 24))


@njit(error_model="numpy")  # type: ignore[untyped-decorator]
def add_runs(fired: Any, n: int, run: int, sums: Any, first: int) -> None:
    """Of each ``run`` of the first ``n`` neurons, how many fired in each step, added to ``sums`` (steps, runs) from ``first`` on.

    ``fired`` as in ``add_steps``, and spent: all four steps are added up at once, until a byte may be full.
    """
    parts = (run + 254) // 255
    for r in range(n // run):
        for part in range(parts):
            row, total = fired[r * run + part * 255 : r * run + min(part * 255 + 255, run)], np.int32(0)
            for j in range(len(row)):
                total = np.int32(total + row[j])
            if parts == 1:
                fired[r] = total
            else:
                for step in range(len(sums)):
                    sums[step, first + r] += F((total >> 8 * step) & 255)
    if parts == 1:
        for step in range(len(sums)):
            row = sums[step, first : first + n // run]
            for r in range(len(row)):
                row[r] += F((fired[r] >> np.int32(8 * step)) & np.int32(255))


@inlined
def identity(value: Any) -> Any:
    return value


@gradient_jit
def exp(x: Any) -> Any:
    """e^x within 2 units in the last place: 2^n e^r with |r| <= ln(2) / 2 and a Taylor polynomial of degree 7."""
    bounded = min(max(x, F(-87.0)), F(88.0))
    n = (bounded * F(1.0 / math.log(2)) + F(12582912.0)) - F(12582912.0)  # adding 1.5 * 2^23 rounds to a whole number
    r = (bounded - n * F(0.693359375)) + n * F(2.12194440e-4)  # ln 2 in two parts; the first has few enough bits to be exact
    p = F(1 / 5040)
    p = p * r + F(1 / 720)
    p = p * r + F(1 / 120)
    p = p * r + F(1 / 24)
    p = p * r + F(1 / 6)
    p = p * r + F(0.5)
    p = p * r + F(1)
    p = p * r + F(1)
    return p * float_of_bits((np.int32(n) + np.int32(127)) << np.int32(23)) if x == x else x


@gradient_jit
def sigmoid(x: Any) -> Any:
    return F(1.0) / (F(1.0) + exp(-x))


@gradient_jit
def where(condition: Any, yes: Any, no: Any) -> Any:
    return yes if condition else no


@gradient_jit
def absolute(x: Any) -> Any:
    return abs(x)


NUMBA = {
    "absolute": absolute,
    "atan": math.atan,
    "erf": math.erf,
    "exp": exp,
    "log": math.log,
    "pi": F(math.pi),
    "sigmoid": sigmoid,
    "sqrt_pi": F(math.sqrt(math.pi)),
    "where": where,
}


def gradient_of(surrogate: Formula) -> Callable[..., Any]:
    """The surrogate's gradient compiled for float32."""
    return compiled(surrogate.bind("gradient", NUMBA))


def compiled(equation: FunctionType) -> Callable[..., Any]:
    """A bound equation with its literals in float32 too: Python's would lift every operation to float64."""
    single = FunctionType(_in_float32(equation.__code__), equation.__globals__, equation.__name__)
    function: Callable[..., Any] = gradient_jit(single)
    return function


def _in_float32(code: CodeType) -> CodeType:
    return code.replace(co_consts=tuple(F(c) if isinstance(c, float) else c for c in code.co_consts))
