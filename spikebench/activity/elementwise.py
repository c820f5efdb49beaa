"""What is arithmetic but not synaptic: additions, norms, pooling and activations, counted as ``other_ops``.

Together with ``moves`` and ``synaptic`` this is a closed world: an operation that no table names is listed as not counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import TYPE_CHECKING, Any

from torch import Tensor

from spikebench.activity.kinds import added, held, join, multiplied, scaled, signs, summed
from spikebench.activity.moves import Args, Kwargs, Rule, packets, tensors_in
from spikebench.activity.synaptic import hadamard
from spikebench.core.values import BINARY

if TYPE_CHECKING:
    from spikebench.activity.recorder import Recorder


def add(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    a, b = args[0], args[1]
    if not isinstance(b, Tensor) or not isinstance(a, Tensor):
        recorder.other("elementwise", out.numel(), tensors_in(args), out)
        recorder.made(out, tensors_in(args), None)
        return
    both = recorder.tracker.is_activation(a) and recorder.tracker.is_activation(b)
    recorder.other("residual" if both else "bias", out.numel(), (a, b), out)
    factor = kwargs.get("alpha", 1)
    recorder.made(out, (a, b), added(recorder.tracker.values(a), recorder.tracker.values(b)) if factor in (1, -1) else None)


def multiply(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    a, b = args[0], args[1]
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if recorder.tracker.is_activation(a) and recorder.tracker.is_activation(b):
            hadamard(recorder, a, b, out)
            return
        recorder.other("scale", out.numel(), (a, b), out)
        both = multiplied(recorder.tracker.values(a), recorder.tracker.values(b))
        recorder.made(out, (a, b), both)
        return
    x, factor = (a, b) if isinstance(a, Tensor) else (b, a)
    recorder.other("scale", out.numel(), (x,), out)
    recorder.made(out, (x,), scaled(recorder.tracker.values(x), factor))


def divide(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    a, b = args[0], args[1]
    constant_divisor = isinstance(a, Tensor) and not isinstance(b, Tensor) and b != 0 and kwargs.get("rounding_mode") is None
    recorder.other("scale" if constant_divisor else "elementwise", out.numel(), tensors_in(args), out)
    recorder.made(out, tensors_in(args), scaled(recorder.tracker.values(a), 1.0 / float(b)) if constant_divisor else None)


def add_product(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """(x, a, b): x + value a b, in one operation what is elsewhere two."""
    x, a, b = args
    if recorder.tracker.is_activation(a) and recorder.tracker.is_activation(b):
        hadamard(recorder, a, b, out)
    else:
        recorder.other("scale", out.numel(), (a, b), out)
    recorder.other("residual" if recorder.tracker.is_activation(x) else "bias", out.numel(), args, out)
    recorder.made(out, args, None)


def blend(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """(a, b, weight): a + weight (b - a), a leaky integrator if the weight is a constant."""
    if isinstance(args[2], Tensor) and recorder.tracker.is_activation(args[2]):
        recorder.no_rule("lerp", out, "with activations as weights")
        return
    recorder.other("elementwise", out.numel(), tensors_in(args), out)
    recorder.made(out, tensors_in(args), None)


def total(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    values = recorder.tracker.values(args[0])
    before = kwargs.get("dtype")  # into which it converts before it adds
    recorder.other("sum", args[0].numel(), args[:1], out)
    recorder.made(out, args[:1], summed(values if before is None else held(values, before)))


def compare(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    recorder.other("comparison", out.numel(), tensors_in(args), out)
    recorder.made(out, tensors_in(args), BINARY)


def keep(kind: str, window: bool = False) -> Rule:
    """Operations that only choose among values: ReLU of spikes is the spikes, their maximum over a window too."""

    def rule(recorder: Recorder, args: Args, kwargs: Kwargs, out: Any) -> None:
        first = out[0] if isinstance(out, (tuple, list)) else out
        recorder.other(kind, _window(args, first) if window else args[0].numel(), args[:1], first)
        recorder.made(out, tensors_in(args), join(recorder.tracker.values(tensor) for tensor in tensors_in(args)))

    return rule


def sign(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    """Takes a declared scale out: of spikes 0 and 1 are left, or 0 and -1."""
    values = recorder.tracker.values(args[0])
    recorder.other("elementwise", out.numel(), args[:1], out)
    recorder.made(out, args[:1], signs(values))


def magnitude(recorder: Recorder, args: Args, kwargs: Kwargs, out: Tensor) -> None:
    recorder.other("elementwise", out.numel(), args[:1], out)
    recorder.made(out, args[:1], summed(recorder.tracker.values(args[0])))


def arithmetic(kind: str, per_element: int = 1, reads: bool = False, window: bool = False) -> Rule:
    """Whatever comes out is not spikes any more. ``reads``: counted by element read, ``window``: by element of each window."""

    def rule(recorder: Recorder, args: Args, kwargs: Kwargs, out: Any) -> None:
        first = out[0] if isinstance(out, (tuple, list)) else out
        inputs = tensors_in(args)
        elements = _window(args, first) if window else (inputs[0] if reads and inputs else first).numel()
        recorder.other(kind, elements * per_element, inputs, first)
        recorder.made(out, inputs, None)

    return rule


def _window(args: Sequence[Any], out: Tensor) -> int:
    kernel = args[1] if len(args) > 1 and isinstance(args[1], (list, tuple)) else ()
    return out.numel() * prod(kernel)


_COMPARISONS = (
    "eq ne gt ge lt le logical_and logical_or logical_not logical_xor isnan isinf isfinite isposinf isneginf any all isin"
)
_ELEMENTWISE = (
    "abs_ neg sqrt rsqrt exp exp2 expm1 log log2 log10 log1p sin cos tan tanh sigmoid erf erfc reciprocal pow square round "
    "floor ceil trunc frac gelu silu mish elu celu selu softplus hardtanh hardswish hardsigmoid leaky_relu clamp clamp_min "
    "clamp_max rsub threshold heaviside atan remainder fmod bitwise_and bitwise_or bitwise_xor bitwise_not "
    "floor_divide prelu _prelu_kernel log_sigmoid_forward softshrink hardshrink glu nan_to_num polygamma fill relu6 "
    "poisson binomial __and__ __or__ __xor__ __lshift__ __rshift__ bitwise_left_shift bitwise_right_shift"
)
_REDUCTIONS = (
    "mean var std var_mean std_mean amax amin aminmax argmax argmin cumsum cumprod prod logsumexp norm linalg_vector_norm max "
    "min nanmean nansum median nanmedian cummax cummin count_nonzero bincount histc histogram _unique2 unique_consecutive "
    "unique_dim logcumsumexp _embedding_bag _embedding_bag_forward_only"
)
_NORMS = "native_layer_norm native_group_norm _fused_rms_norm"
_BATCH_NORMS = (
    "native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training _batch_norm_with_update "
    "_batch_norm_no_update cudnn_batch_norm miopen_batch_norm"
)
_MAXIMA = "max_pool2d_with_indices max_pool3d_with_indices max_pool2d fractional_max_pool2d fractional_max_pool3d"
_LOSSES = (
    "mse_loss smooth_l1_loss huber_loss soft_margin_loss binary_cross_entropy binary_cross_entropy_with_logits nll_loss_forward "
    "nll_loss2d_forward multi_margin_loss multilabel_margin_loss_forward"
)
_AVERAGES = "avg_pool1d avg_pool2d avg_pool3d"
_ADAPTIVE = "_adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d"
_INTERPOLATION = (
    "upsample_linear1d upsample_bilinear2d upsample_bicubic2d upsample_trilinear3d _upsample_bilinear2d_aa "
    "_upsample_bicubic2d_aa grid_sampler_2d grid_sampler_3d"
)


RULES: Mapping[Any, Rule] = {
    packet: rule
    for names, rule in (
        (_ELEMENTWISE, arithmetic("elementwise")),
        (_REDUCTIONS, arithmetic("reduction", reads=True)),
        (_LOSSES, arithmetic("loss", reads=True)),
        ("addcmul", add_product),
        ("addcdiv", arithmetic("elementwise", per_element=2)),
        ("lerp", blend),
        ("col2im", arithmetic("sum", reads=True)),
        (_NORMS, arithmetic("norm", per_element=2)),
        (_BATCH_NORMS, arithmetic("batch_norm", per_element=2)),
        ("_softmax _log_softmax _safe_softmax _masked_softmax", arithmetic("softmax")),
        (_AVERAGES, arithmetic("pooling", window=True)),
        (_ADAPTIVE, arithmetic("pooling", reads=True)),
        (_INTERPOLATION, arithmetic("interpolation")),
        (_MAXIMA, keep("pooling", window=True)),
        ("relu maximum minimum", keep("elementwise")),
        ("sign sgn", sign),
        ("abs neg", magnitude),
        ("add sub", add),
        ("mul", multiply),
        ("div", divide),
        ("sum", total),
        (_COMPARISONS, compare),
    )
    for packet in packets(names)
}
"""By ATen operation (all overloads)."""
